"""The door of the readers of latencies: finds the form of a file by its first lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Literal

from sim.readers.buckets import read_prometheus
from sim.readers.figures import Latencies
from sim.readers.latency_json import TREES, read_latency_json
from sim.readers.latency_tables import TABLES, read_latency_table
from sim.readers.mtr import read_mtr_csv, read_mtr_text
from sim.readers.note import Note
from sim.readers.ping import HEADS, read_ping
from sim.readers.text import read_text

__all__ = ["FORMS", "read_latencies"]

FORMS = (
    *(f"CSV: {form}" for form in TABLES),
    *(f"JSON: {form}" for form in TREES),
    "the output of ping",
    "a report of mtr, as text or CSV",
    "a histogram in Prometheus' text format",
)
"""The forms of latencies that are read."""

_PROMETHEUS = re.compile(r"# (HELP|TYPE) |[A-Za-z_:][\w:]*\{[A-Za-z_]\w*=\"")
_Reader = Callable[[str | PathLike[str], str], Latencies]


def _form_of(text: str) -> tuple[str, _Reader]:
    """The name of the form of a text ("ping", "csv", ...), and its reader."""
    start = text.lstrip()
    line = start.partition("\n")[0].strip()
    if start.startswith(("{", "[")):
        return "json", read_latency_json
    if HEADS.fullmatch(line):
        return "ping", read_ping
    if line.startswith(("Start: ", "HOST: ")):
        return "mtr", read_mtr_text
    if line.startswith("Mtr_Version,"):
        return "mtr --csv", read_mtr_csv
    if _PROMETHEUS.match(line):
        return "Prometheus", read_prometheus
    return "csv", lambda path, _: read_latency_table(path)


def read_latencies(path: str | PathLike[str], kind: Literal["any", "csv", "json"] = "any") -> Latencies:
    """The round trips in a file, or in the files of a folder (`FORMS`).

    ``kind``: "csv" or "json" refuses a file that is neither. Raises ValueError with file, line, column, the text
    found there, and the known forms.
    """
    if Path(path).is_dir():
        return _folder(Path(path), kind)
    text = read_text(path)
    if not text.strip():
        raise ValueError(f"{path}, line 1: nothing is in it; known are {', or '.join(FORMS)}")
    name, reader = _form_of(text)
    if kind not in ("any", name):
        raise ValueError(f"{path}: this is not {kind.upper()}, it looks like {name}: read it with path=")
    return reader(path, text)


def _folder(folder: Path, kind: Literal["any", "csv", "json"]) -> Latencies:
    """All files of a folder, in the order of their names; hidden files and folders are left."""
    files, left = [], []
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            files.append(file)
        else:
            left.append(file.name)
    found = [read_latencies(file, kind) for file in files]
    if not found:
        raise ValueError(f"{folder}: there is no file in it")
    ends: dict[tuple[str, str], str] = {}
    for one in found:
        for pair in one.pairs:
            if (pair.src, pair.dst) in ends:
                raise ValueError(
                    f"{pair.where}: {ends[pair.src, pair.dst]} has measurements from {pair.src!r} to {pair.dst!r}, too"
                )
            ends[pair.src, pair.dst] = one.note.source
    took = tuple(f"[{one.note}]" for one in found)
    note = Note(folder.name, f"a folder of {len(found)} files", took, tuple(left))
    return Latencies(tuple(pair for one in found for pair in one.pairs), note)
