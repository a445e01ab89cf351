"""Histograms with cumulative buckets, as Prometheus has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import inf, isfinite
from os import PathLike
from pathlib import Path

from sim.readers.figures import Latencies, PairFigures
from sim.readers.note import Note, counted

__all__ = ["from_buckets", "read_prometheus"]

_LEVELS = (0.5, 0.75, 0.95, 0.99, 0.999, 0.9999, 0.99999)
_LINE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(\{(?P<labels>.*)\})?\s+(?P<value>\S+)(\s+-?\d+)?")
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_SRC = ("src", "source", "from")
_DST = ("dst", "destination", "target", "to", "instance")


def from_buckets(
    src: str, dst: str, buckets: Sequence[tuple[str, float, float]], total: float | None = None
) -> PairFigures:
    """The percentiles of one histogram.

    ``buckets``: file and line, upper bound in seconds, and the number of round trips up to the bound (cumulative).
    ``total``: the sum of all round trips in seconds, if known. Within a bucket, round trips are taken to be spread
    evenly; above the largest finite bound nothing is known, so what lies there counts as that bound.
    """
    ordered = sorted(buckets, key=lambda bucket: bucket[1])
    for (_, a, n), (where, b, m) in pairwise(ordered):
        if a == b:
            raise ValueError(f"{where}: a second bucket le={b:g} from {src!r} to {dst!r}")
        if m < n:
            raise ValueError(
                f"{where}: {m:g} round trips up to {b:g} s are fewer than {n:g} up to {a:g} s: counts are cumulative"
            )
    where, last, count = ordered[-1]
    if last != inf:
        raise ValueError(
            f"{where}: the bucket le=+Inf is missing from {src!r} to {dst!r}: the largest is {last:g} s"
        )
    if not count > 0:
        raise ValueError(f"{where}: no round trip was counted from {src!r} to {dst!r}")
    finite = [(bound, n) for _, bound, n in ordered if isfinite(bound) and bound > 0]
    if not finite:
        raise ValueError(f"{where}: no bucket has a finite bound above 0 s from {src!r} to {dst!r}")
    percentiles = {level: _quantile(finite, level * count) for level in _LEVELS}
    mean = None if total is None else total / count
    return PairFigures(src, dst, ordered[0][0], percentiles, mean=mean)


def _quantile(buckets: Sequence[tuple[float, float]], rank: float) -> float:
    """The bound up to which ``rank`` round trips lie, linear inside a bucket."""
    below, before = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            return below + (bound - below) * (rank - before) / (count - before)
        below, before = bound, count
    return below


def read_prometheus(path: str | PathLike[str], text: str) -> Latencies:
    """Histograms in Prometheus' text format, a pair by its labels ``src`` and ``dst`` (seconds)."""
    found: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    sums: dict[tuple[str, str], float] = {}
    families: dict[str, None] = {}
    others: dict[str, None] = {}
    for i, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}, line {i}"
        name, labels, value = _parsed(where, line)
        family, _, part = name.rpartition("_")
        if part not in ("bucket", "sum", "count"):
            others.setdefault(name)
            continue
        families.setdefault(family)
        ends = _ends(where, labels, Path(path).stem)
        if part == "bucket":
            found.setdefault(ends, []).append((where, _bound(where, labels), value))
        elif part == "sum":
            sums[ends] = value
    if not found:
        raise ValueError(f'{path}: no line NAME_bucket{{...,le="..."}} N in Prometheus\' text format')
    if len(families) > 1:
        raise ValueError(f"{path}: one histogram is needed, not {', '.join(families)}")
    pairs = tuple(from_buckets(*ends, buckets, sums.get(ends)) for ends, buckets in found.items())
    took = (
        counted(len(pairs), "pair"),
        f"histogram {next(iter(families))} in seconds, linear inside a bucket",
    )
    left = tuple(f"metric {name}" for name in others)
    return Latencies(pairs, Note(Path(path).name, "Prometheus' text format, by its lines", took, left))


def _parsed(where: str, line: str) -> tuple[str, dict[str, str], float]:
    match = _LINE.fullmatch(line.strip())
    try:
        value = float(match["value"]) if match else float("nan")
    except ValueError:
        value = float("nan")
    if match is None or not value >= 0:
        raise ValueError(f'{where}: NAME{{LABEL="..."}} NUMBER is needed, not {line.strip()!r}')
    labels: dict[str, str] = {}
    rest = match["labels"] or ""
    while rest:
        label = _LABEL.match(rest)
        if label is None:
            raise ValueError(f'{where}: labels LABEL="..." are needed, not {rest!r}')
        labels[label[1]] = label[2]
        rest = rest[label.end() :]
    return match["name"], labels, value


def _ends(where: str, labels: dict[str, str], stem: str) -> tuple[str, str]:
    src = next((labels[name] for name in _SRC if name in labels), stem)
    dst = next((labels[name] for name in _DST if name in labels), None)
    if dst is None:
        raise ValueError(f"{where}: a label {', '.join(_DST)} is needed, not {', '.join(labels) or 'none'}")
    return src, dst


def _bound(where: str, labels: dict[str, str]) -> float:
    try:
        bound = float(labels.get("le", "nan"))
    except ValueError:
        bound = float("nan")
    if not bound >= 0:
        raise ValueError(f'{where}: a label le="SECONDS" is needed, not {labels.get("le")!r}')
    return bound
