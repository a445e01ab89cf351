"""The names, labels and units of measures, and the format of their numbers for people.

Tables and charts use this module, so that a measure has the same name, label and unit everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from sim.arguments import checked
from sim.settings import field_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "QUANTITIES",
    "Quantity",
    "Scale",
    "column_of",
    "decimals_for",
    "known_quantities",
    "quantile_of",
    "quantity",
    "scale_of",
    "time_scale",
]


@checked
def column_of(frame: pd.DataFrame, field: str) -> str:
    """The column of a swept field, which may be named ``system.nodes`` or ``system__nodes``."""
    return field if field in frame.columns else field_path(field)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measure: its name (the column), label for people, unit in frames, which direction is better, least value.

    ``least``: 0 for measures that cannot be negative, such as all `QUANTITIES`; minus infinity for unknown names.
    """

    name: str
    label: str
    unit: str = ""
    better: Literal["lower", "higher", ""] = ""
    least: float = 0.0

    @property
    def is_time(self) -> bool:
        """Whether values are in seconds; tables and charts may show them in ms or µs."""
        return self.unit == "s"


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply a value of a frame by `factor` to express it in `unit`."""

    factor: float
    unit: str


QUANTITIES: dict[str, Quantity] = {
    q.name: q
    for q in (
        Quantity("throughput", "throughput", "op/s", "higher"),
        Quantity("offered", "offered load", "op/s"),
        Quantity("mean", "mean latency", "s", "lower"),
        Quantity("p50", "p50 latency", "s", "lower"),
        Quantity("p95", "p95 latency", "s", "lower"),
        Quantity("p99", "p99 latency", "s", "lower"),
        Quantity("unavailability", "unavailability", "s", "lower"),
        Quantity("unavailability_reads", "unavailability of reads", "s", "lower"),
        Quantity("unavailability_writes", "unavailability of writes", "s", "lower"),
        Quantity("acknowledged_lost", "acknowledged writes lost", "", "lower"),
        Quantity("acknowledged_unreplicated", "writes acknowledged unreplicated", "", "lower"),
        Quantity("conflicts", "conflicts between writes", "", "lower"),
        Quantity("elections", "elections", "", "lower"),
        Quantity("false_elections", "false elections", "/day", "lower"),
        Quantity("time_without_leader", "time without leader", "s", "lower"),
        Quantity("writes_refused", "writes refused", "", "lower"),
        Quantity("messages_per_operation", "replica messages per operation", "", "lower"),
        Quantity("bytes_per_operation", "replica bytes per operation", "B", "lower"),
        Quantity("attempts_per_operation", "attempts per operation", "", "lower"),
        Quantity("warmup", "warm-up", "s"),
        Quantity("operations", "operations"),
        Quantity("ok", "ok operations", "", "higher"),
        Quantity("fail", "failed operations", "", "lower"),
        Quantity("info", "operations of unknown outcome", "", "lower"),
        Quantity("utilisation_max", "utilisation of the busiest node"),
        Quantity("queue_max", "longest queue of any node"),
    )
}


_NONE: Mapping[str, Quantity] = MappingProxyType({})
_OWN: ContextVar[Mapping[str, Quantity]] = ContextVar("own quantities", default=_NONE)


@checked
@contextmanager
def known_quantities(own: Iterable[Quantity]) -> Iterator[None]:
    """A context in which `quantity` knows these, too: the measures that a user has added."""
    token = _OWN.set({**_OWN.get(), **{one.name: one for one in own}})
    try:
        yield
    finally:
        _OWN.reset(token)


@checked
def quantity(name: str) -> Quantity:
    """The quantity in column `name`; names such as `p99.9` are latencies, other unknown names have no unit."""
    known = QUANTITIES.get(name) or _OWN.get().get(name)
    if known is not None:
        return known
    if name.startswith("commit_p"):
        return Quantity(name, f"{name.removeprefix('commit_')} latency of commitment", "s", "lower")
    if name.startswith("p") and name[1:].replace(".", "", 1).isdigit():
        return Quantity(name, f"{name} latency", "s", "lower")
    return Quantity(name, name.replace("_", " "), least=-math.inf)


@checked
def quantile_of(name: str) -> float:
    """The quantile of a latency column: "p50" → 0.5, "p99.9" → 0.999. Raises ValueError for another name."""
    digits = name.removeprefix("p")
    percent = float(digits) if name != digits and digits.replace(".", "", 1).isdigit() else math.nan
    if not 0.0 < percent <= 100.0:
        raise ValueError(f"{name!r} is no percentile of latency: write p50, p99 or p99.9")
    return round(percent / 100.0, 12)


@checked
def time_scale(seconds: Iterable[float]) -> Scale:
    """The best unit (s, ms or µs) for these times, from their geometric mean."""
    logs = [math.log(abs(value)) for value in seconds if math.isfinite(value) and value != 0]
    if not logs:
        return Scale(1e3, "ms")
    typical = math.exp(math.fsum(logs) / len(logs))
    if typical >= 1.0:
        return Scale(1.0, "s")
    return Scale(1e3, "ms") if typical >= 1e-3 else Scale(1e6, "µs")


@checked
def scale_of(known: Quantity, values: Iterable[float]) -> Scale:
    """The scale in which values of this quantity are shown."""
    return time_scale(values) if known.is_time else Scale(1.0, known.unit)


@checked
def decimals_for(values: Iterable[float], significant: int = 3, most: int = 3) -> int:
    """The number of decimals that shows the smallest non-zero value with `significant` digits; at most `most`.

    Whole numbers need none.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes or all(size == round(size) for size in sizes):
        return 0
    return min(most, max(0, significant - 1 - math.floor(math.log10(min(sizes)))))
