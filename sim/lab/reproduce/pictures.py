"""The record that a picture carries in its metadata: PNG, SVG and PDF. Nothing in a picture is evaluated."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["PICTURES", "record_in"]

PICTURES = (".png", ".svg", ".pdf")

_SOURCE = "{http://purl.org/dc/elements/1.1/}source"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def record_in(file: Path) -> str:
    """The JSON text of the record in a picture. Raises ValueError for a file that is no picture, or carries none."""
    kind = file.suffix.lower()
    try:
        text = {".png": _png, ".svg": _svg, ".pdf": _pdf}[kind](file)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
    if not text:
        raise ValueError(
            f"{file} does not say what it shows: no record in its metadata. Pictures have one that charts of runs, "
            "comparisons and sweeps make (run.plot, comparison.plot, sweep.plot) and sim.analysis.plots.save writes"
        )
    return text


def _png(file: Path) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=["PNG"]) as picture:
            picture.load()
            found = getattr(picture, "text", {}).get("Runs")
    except (UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise ValueError(f"{file} is no PNG picture: {error}") from error
    return None if found is None else str(found)


def _svg(file: Path) -> str | None:
    try:
        text = file.read_text(encoding="utf-8")
        if "<!ENTITY" in text:
            raise ValueError("it declares entities")
        found = ElementTree.fromstring(text).find(f".//{_SOURCE}")
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{file} is no SVG picture: {error}") from error
    return None if found is None else found.text


def _pdf(file: Path) -> str | None:
    content = file.read_bytes()
    if not content.startswith(b"%PDF-"):
        raise ValueError(f"{file} is no PDF file")
    begin = content.rfind(b"/Keywords (")
    return None if begin < 0 else _literal(content[begin + len(b"/Keywords (") :])


def _literal(content: bytes) -> str:
    """A literal string of PDF (ISO 32000-1, 7.3.4.2) from behind its opening parenthesis."""
    found: list[str] = []
    depth = 1
    for escaped, plain in re.findall(r"\\(.)|([^\\])", content.decode("latin-1"), re.DOTALL):
        depth += (plain == "(") - (plain == ")")
        if depth == 0:
            break
        found.append(_ESCAPES.get(escaped, escaped) if escaped else plain)
    return "".join(found)
