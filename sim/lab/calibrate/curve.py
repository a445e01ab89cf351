"""A measured throughput-latency curve: one point a row, from a frame or from a table in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from os import PathLike
from typing import TYPE_CHECKING, Any

from sim.readers.tables import figure, read_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST_POINTS", "MeasuredCurve", "read_curve"]

LEAST_POINTS = 4
"""Half of the points are fitted, and the others are predicted: at least two of each."""

_LATENCY = re.compile(r"(?P<measure>mean|p(?P<level>\d{1,2}(\.\d+)?))(_(?P<unit>s|ms|us))?")
_UNITS = {None: 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_LOADS = ("offered", "throughput", "clients")
_FORM = (
    "a curve needs a column of the load (offered or throughput in operations/s, or clients) and columns of latencies "
    "(p50_ms, p99_us, mean_s ...; without a unit: seconds); optional: bytes, the size of the values"
)


@dataclass(frozen=True)
class MeasuredCurve:
    """The points of a curve, by ascending load.

    Attributes
    ----------
    axis: what is varied: ``"offered"`` (operations/s) or ``"clients"``.
    loads: the load of each point.
    sizes: bytes of the values at each point; None: not measured.
    measures: measure -> its value at each point: ``p50``, ``mean`` ... in seconds, ``throughput`` in operations/s.
    notes: what was taken for what, and what was left.
    """

    axis: str
    loads: tuple[float, ...]
    sizes: tuple[float, ...] | None
    measures: Mapping[str, tuple[float, ...]]
    notes: tuple[str, ...]

    @property
    def sizes_vary(self) -> bool:
        """Whether the points differ in the size of their values."""
        return self.sizes is not None and len(set(self.sizes)) > 1

    @property
    def most_served(self) -> float:
        """The highest load that was served: operations/s."""
        served = self.measures.get("throughput", self.loads if self.axis == "offered" else ())
        if served:
            return max(served)
        # In a closed loop each client has one operation outstanding.
        latency = next(iter(self.measures.values()))
        return max(clients / seconds for clients, seconds in zip(self.loads, latency, strict=True))


def read_curve(measured: pd.DataFrame | str | PathLike[str], closed: bool) -> MeasuredCurve:
    """The curve in a frame or in a file (CSV). ``closed``: the load is that of a closed loop, a number of clients.

    Raises ValueError, with file and line or with the row, for a column that is needed and missing, and for a value that
    is not positive.
    """
    columns, source = _columns(measured)
    loads, notes = _load(columns, closed, source)
    latencies = {name: found for name in columns if (found := _LATENCY.fullmatch(name))}
    measures: dict[str, tuple[float, ...]] = {}
    for name, found in latencies.items():
        if found["measure"] in measures:
            raise ValueError(f"{source}: {found['measure']} is there twice; {_FORM}")
        factor = _UNITS[found["unit"]]
        measures[found["measure"]] = tuple(value * factor for value in columns[name])
    if not measures:
        raise ValueError(f"{source}: there is no latency among the columns {', '.join(columns)}; {_FORM}")
    if "throughput" in columns and loads != "throughput":
        measures["throughput"] = columns["throughput"]
    count = len(columns[loads])
    if count < LEAST_POINTS:
        raise ValueError(
            f"{source}: at least {LEAST_POINTS} points are needed, not {count}: half of them are fitted, and the "
            "others show how well that predicts"
        )
    used = {loads, "bytes", "throughput", *latencies}
    left = [name for name in columns if name not in used]
    notes += [f"not used: {', '.join(left)}"] if left else []
    sizes = columns.get("bytes")
    order = sorted(range(count), key=lambda i: (columns[loads][i], 0.0 if sizes is None else sizes[i]))
    return MeasuredCurve(
        "clients" if closed else "offered",
        tuple(columns[loads][i] for i in order),
        None if sizes is None else tuple(sizes[i] for i in order),
        {name: tuple(values[i] for i in order) for name, values in measures.items()},
        tuple(notes),
    )


def _load(columns: Mapping[str, Sequence[float]], closed: bool, source: str) -> tuple[str, list[str]]:
    """The column of the load, and what must be said about it."""
    if closed:
        if "clients" not in columns:
            raise ValueError(
                f"{source}: the scenario is a closed loop, and no column says how many clients; {_FORM}"
            )
        odd = next((value for value in columns["clients"] if value != round(value)), None)
        if odd is not None:
            raise ValueError(f"{source}: clients must be a whole number, not {odd!r}")
        return "clients", []
    if "offered" in columns:
        return "offered", []
    if "throughput" in columns:
        return "throughput", ["the offered load was taken to be the throughput: right below saturation only"]
    raise ValueError(f"{source}: there is no load among the columns {', '.join(columns)}; {_FORM}")


def _columns(measured: pd.DataFrame | str | PathLike[str]) -> tuple[dict[str, tuple[float, ...]], str]:
    """Column -> its values, for the columns that are used, and nothing for the others; and a name for errors."""
    if isinstance(measured, str | PathLike):
        lines = list(read_csv(measured, lambda columns: None))
        names = list(lines[0]) if lines else []
        values = {n: tuple(figure(line, n, zero=False) for line in lines) if _used(n) else () for n in names}
        return values, str(measured)
    frame: Any = measured
    return {
        str(name): _numbers(frame[name], str(name)) if _used(str(name)) else () for name in frame.columns
    }, "measured"


def _used(name: str) -> bool:
    return name in {*_LOADS, "bytes"} or _LATENCY.fullmatch(name) is not None


def _numbers(column: Any, name: str) -> tuple[float, ...]:
    found = []
    for row, value in enumerate(column.tolist()):
        number = (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
        )
        if not (isfinite(number) and number > 0.0):
            raise ValueError(f"measured: row {row}, column {name!r}: a number > 0 is needed, not {value!r}")
        found.append(number)
    return tuple(found)
