"""A report as one file: sections of text, tables, charts and space-time pages, without any access to the network.

Nothing in a file can load anything: its content security policy allows the script that `page` wrote, and no other, and
pictures that are in the file. Text is escaped by Jinja.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import jinja2

from sim.display import TextTable
from sim.page import asset

__all__ = ["MOST_BYTES", "Chart", "Code", "Packed", "Remark", "ReportBlock", "Section", "page", "within"]

MOST_BYTES = 10_000_000
"""Of one file."""

_SPARE = 50_000  # bytes for what says what was left out


@dataclass(frozen=True)
class Chart:
    """A picture in SVG, and what it shows, in words for readers who cannot see it."""

    svg: bytes
    alt: str

    @property
    def source(self) -> str:
        """The picture as a data URI. In an ``img`` no script of it runs, and its names do not meet those of others."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


@dataclass(frozen=True)
class Code:
    """Text in letters of one width: a file, commands, a story. ``title``: of long ones, which are folded."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Remark:
    """A sentence that readers must not overlook."""

    text: str


@dataclass(frozen=True)
class Packed:
    """A space-time page: `sim.page.packed_text` of what is drawn, and of the details."""

    drawn: str
    details: str


ReportBlock = str | TextTable | Chart | Code | Remark | Packed


@dataclass(frozen=True)
class Section:
    """A part of a report. ``folded``: it opens at a click."""

    title: str
    blocks: Sequence[ReportBlock]
    folded: bool = False


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The file, as text. ``lead``: a sentence or two under the title."""
    has_pages = any(isinstance(block, Packed) for section in sections for block in section.blocks)
    script = "\n".join(
        [*([asset("spacetime.js"), asset("boot.js")] if has_pages else []), asset("report.js")]
    )
    # A browser hashes the text between the tags, in which it reads line ends as \n.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return _template().render(
        title=title,
        lead=lead,
        sections=[(section, [(_kind(block), block) for block in section.blocks]) for section in sections],
        script=script,
        style=asset("report.css"),
        digest=digest,
    )


def _kind(block: ReportBlock) -> str:
    return "text" if isinstance(block, str) else type(block).__name__.lower()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html")


def within(sections: Sequence[Section], most: int = MOST_BYTES) -> list[Section]:
    """The sections without what makes the file larger than ``most`` bytes, and notes that say what was left out.

    Charts and code are left out where they do not fit any more, the largest first; space-time pages are made to fit by
    who packs them.
    """
    found = list(sections)
    while _size(found) > most - _SPARE:
        sizes = [
            (len(block.svg) if isinstance(block, Chart) else len(block.text.encode()), number, at)
            for number, section in enumerate(found)
            for at, block in enumerate(section.blocks)
            if isinstance(block, Chart | Code)
        ]
        if not sizes:
            break
        _, number, at = max(sizes)
        found[number] = _noted(found[number], at)
    return found


def _size(sections: Sequence[Section]) -> int:
    return len(page("", "", sections).encode())


def _noted(section: Section, at: int) -> Section:
    block = section.blocks[at]
    named = block.alt if isinstance(block, Chart) else getattr(block, "title", "") or "a text"
    note = Remark(f"Left out, because the file would be too large: {named}.")
    return replace(section, blocks=[*section.blocks[:at], note, *section.blocks[at + 1 :]])
