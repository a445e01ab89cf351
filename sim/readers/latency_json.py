"""Latencies in JSON: a matrix, CloudPing's matrix, a report of mtr."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

from sim.readers.figures import Latencies, PairFigures
from sim.readers.mtr import read_mtr_json
from sim.readers.note import Note, counted
from sim.readers.text import parse_json, short

__all__ = ["TREES", "read_latency_json"]

TREES = (
    '{"a": {"b": 12.5}} (a matrix, round trips in ms)',
    '{"places": ["a", "b"], "rtt_ms": [[null, 12.5], [12.5, null]]}',
    'CloudPing\'s {"metadata": ..., "data": ...}',
    "the output of mtr --json",
)
"""The forms of latencies in JSON."""

_UNITS = {"milliseconds": 1e-3, "ms": 1e-3, "seconds": 1.0, "s": 1.0, "microseconds": 1e-6, "us": 1e-6}


def read_latency_json(path: str | PathLike[str], text: str) -> Latencies:
    """The latencies of a JSON text. Raises ValueError with the file, the place in the tree, and the known forms."""
    tree = parse_json(path, text)
    source = Path(path).name
    if not isinstance(tree, dict) or not tree:
        raise ValueError(f"{path}: {_known()}, not {short(tree)}")
    if "report" in tree:
        return read_mtr_json(path, tree)
    if "fio version" in tree:
        raise ValueError(f"{path}: fio measures a disk: read it with Disk.from_fio; here {_known()}")
    if "data" in tree and "metadata" in tree:
        return _cloudping(path, source, tree)
    if "places" in tree:
        return _rows(path, source, tree)
    pairs = tuple(_nested(path, "", tree, 1e-3))
    return _matrix(path, source, "a matrix in JSON, by its two levels", pairs, ("round trips in ms",))


def _known() -> str:
    return f"latencies in JSON are {', or '.join(TREES)}"


def _cloudping(path: str | PathLike[str], source: str, tree: dict[str, Any]) -> Latencies:
    about = tree["metadata"]
    unit = about.get("unit", "milliseconds") if isinstance(about, dict) else None
    if unit not in _UNITS:
        raise ValueError(f"{path}, metadata.unit: {', '.join(_UNITS)} are known, not {short(unit)}")
    pairs = tuple(_nested(path, "data.", tree["data"], _UNITS[unit]))
    took = [f"round trips in {unit}"]
    took += [f"{name} {about[name]}" for name in ("percentile", "timeframe") if name in about]
    return _matrix(path, source, "CloudPing's matrix, by its metadata and data", pairs, tuple(took))


def _rows(path: str | PathLike[str], source: str, tree: dict[str, Any]) -> Latencies:
    units = {"rtt_ms": 1e-3, "rtt_s": 1.0, "rtt_us": 1e-6}
    places = tree["places"]
    name = next((name for name in units if name in tree), None)
    if name is None or not isinstance(places, list) or not all(isinstance(p, str) for p in places):
        raise ValueError(f"{path}: {TREES[1]} is needed, not an object with {', '.join(tree)}")
    rows = tree[name]
    if (
        not isinstance(rows, list)
        or len(rows) != len(places)
        or any(not isinstance(row, list) or len(row) != len(places) for row in rows)
    ):
        raise ValueError(f"{path}, {name}: {len(places)} rows of {len(places)} figures are needed")
    if len(set(places)) < len(places):
        raise ValueError(f"{path}, places: the names must differ: {', '.join(places)}")
    nested = {src: dict(zip(places, row, strict=True)) for src, row in zip(places, rows, strict=True)}
    left = tuple(f"key {key!r}" for key in tree if key not in ("places", name))
    pairs = tuple(_nested(path, f"{name}.", nested, units[name]))
    return _matrix(path, source, "a matrix in JSON, by its places", pairs, (f"round trips {name}",), left)


def _nested(path: str | PathLike[str], prefix: str, tree: Any, unit: float) -> Iterator[PairFigures]:
    """The pairs of ``{src: {dst: figure}}``; null, and a zero between a place and itself, was not measured."""
    if not isinstance(tree, dict):
        raise ValueError(
            f"{path}, {prefix.rstrip('.')}: {{src: {{dst: figure}}}} is needed, not {short(tree)}"
        )
    for src, row in tree.items():
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, {prefix}{src}: {{dst: figure}} is needed, not {short(row)}. {_known()}"
            )
        for dst, value in row.items():
            if value is None or (src == dst and value == 0 and value is not False):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not _positive(value):
                raise ValueError(f"{path}, {prefix}{src}.{dst}: a number > 0 is needed, not {short(value)}")
            yield PairFigures(
                src, dst, f"{path}, {prefix}{src}.{dst}", {0.5: unit * value}, mean=unit * value
            )


def _positive(value: float) -> bool:
    return isfinite(value) and value > 0


def _matrix(
    path: str | PathLike[str],
    source: str,
    form: str,
    pairs: tuple[PairFigures, ...],
    took: tuple[str, ...],
    left: tuple[str, ...] = (),
) -> Latencies:
    if not pairs:
        raise ValueError(f"{path}: there are no measurements in it")
    told = (counted(len(pairs), "pair"), *took, "one figure a pair: no variation")
    return Latencies(pairs, Note(source, form, told, left))
