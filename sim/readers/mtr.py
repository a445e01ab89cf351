"""The output of `mtr`: its report as text, ``--json`` and ``--csv``. The last hop is the destination."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from sim.readers.figures import Latencies, PairFigures
from sim.readers.note import Note, counted

__all__ = ["read_mtr_csv", "read_mtr_json", "read_mtr_text"]

_HEAD = re.compile(r"HOST: (?P<src>\S+)\s+(?P<columns>Loss%\s.*)")
_HOP = re.compile(r"\d+\.\|--\s+(?P<host>\S+)\s+(?P<figures>[\d.]+%?(\s+[\d.]+)*)")
_NEEDED = ("Loss%", "Avg", "Best", "Wrst", "StDev")


def read_mtr_text(path: str | PathLike[str], text: str) -> Latencies:
    """The reports in a text. Raises ValueError with file and line for a line that no report has."""
    pairs: list[PairFigures] = []
    hops = 0
    src, last = "", None
    columns: list[str] = []
    for i, line in enumerate(text.splitlines(), 1):
        where, plain = f"{path}, line {i}", line.strip()
        head, hop = _HEAD.fullmatch(plain), _HOP.fullmatch(plain)
        if head:
            pairs += _ended(last)
            src, columns, last = head["src"], head["columns"].split(), None
        elif hop and columns:
            figures = dict(zip(columns, hop["figures"].split(), strict=False))
            last = where, src, hop["host"], figures
            hops += 1
        elif plain and not plain.startswith(("Start:", "|  ")):
            raise ValueError(f"{where}: a line of an mtr report is needed, not {plain!r}")
    pairs += _ended(last)
    return _latencies(path, "report of mtr, by its first line", pairs, hops)


def _ended(last: tuple[str, str, str, dict[str, str]] | None) -> list[PairFigures]:
    return [] if last is None else [_pair(*last)]


def read_mtr_json(path: str | PathLike[str], tree: Any) -> Latencies:
    """A report of ``mtr --json``. Raises ValueError with the place in the tree."""
    report = tree.get("report") if isinstance(tree, dict) else None
    told = report.get("mtr") if isinstance(report, dict) else None
    hubs = report.get("hubs") if isinstance(report, dict) else None
    if not isinstance(told, dict) or not isinstance(hubs, list) or not hubs:
        raise ValueError(f'{path}: mtr\'s {{"report": {{"mtr": {{...}}, "hubs": [...]}}}} is needed')
    where = f"{path}, report.hubs[{len(hubs) - 1}]"
    if not isinstance(hubs[-1], dict) or "src" not in told or "dst" not in told:
        raise ValueError(
            f'{path}: report.mtr needs "src" and "dst", and a hub is an object, not {hubs[-1]!r}'
        )
    _refuse_unreached(where, str(hubs[-1].get("host", "???")))
    figures = {name: str(value) for name, value in hubs[-1].items()}
    pair = _pair(where, str(told["src"]), str(told["dst"]), figures)
    return _latencies(path, 'JSON of mtr, by its "report"', [pair], len(hubs))


def read_mtr_csv(path: str | PathLike[str], text: str) -> Latencies:
    """A report of ``mtr --csv``, measured at the place that the file is named after."""
    rows = list(csv.reader(text.splitlines()))
    header = [name.strip() for name in rows[0]]
    ends: dict[str, tuple[str, Mapping[str, str]]] = {}
    for i, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        where = f"{path}, line {i}"
        figures = dict(zip(header, (cell.strip() for cell in row), strict=False))
        if "Host" not in figures or "StDev" not in figures:
            raise ValueError(f"{where}: {len(header)} cells are needed, not {len(row)}: {row!r}")
        ends[figures["Host"]] = where, figures
    pairs = []
    for dst, (where, hop) in ends.items():
        _refuse_unreached(where, hop.get("Ip", ""))
        pairs.append(_pair(where, Path(path).stem, dst, hop))
    return _latencies(path, "CSV of mtr, by its first line", pairs, len(rows) - 1)


def _refuse_unreached(where: str, host: str) -> None:
    if host == "???":
        raise ValueError(f"{where}: the last hop is '???': mtr did not reach its destination")


def _pair(where: str, src: str, dst: str, figures: Mapping[str, str]) -> PairFigures:
    """The figures of the last hop: log-normal with its mean and deviation, between best and worst."""
    _refuse_unreached(where, dst)
    numbers = {}
    for name in _NEEDED:
        try:
            numbers[name] = float(figures.get(name, "").removesuffix("%"))
        except ValueError:
            raise ValueError(
                f"{where}, column {name!r}: a number is needed, not {figures.get(name)!r}"
            ) from None
    loss, mean, least, most, deviation = numbers.values()
    if not 0.0 <= loss < 100.0 or not 0.0 < least <= mean <= most:
        raise ValueError(
            f"{where}: Loss% below 100 and 0 < Best <= Avg <= Wrst are needed, "
            f"not {loss:g}, {least:g}, {mean:g}, {most:g}"
        )
    ms = 1e-3
    return PairFigures(src, dst, where, {}, mean * ms, deviation * ms, least * ms, most * ms, loss / 100.0)


def _latencies(path: str | PathLike[str], form: str, pairs: list[PairFigures], hops: int) -> Latencies:
    if not pairs:
        raise ValueError(f"{path}: there is no hop in it")
    ends = [(pair.src, pair.dst) for pair in pairs]
    twice = next((pair for pair in ends if ends.count(pair) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: two reports from {twice[0]!r} to {twice[1]!r}")
    took = (counted(len(pairs), "pair"), "Loss%, Avg, Best, Wrst, StDev of the last hop, in ms")
    left = (counted(hops - len(pairs), "hop") + " on the way",) if hops > len(pairs) else ()
    return Latencies(tuple(pairs), Note(Path(path).name, form, took, left))
