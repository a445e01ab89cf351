"""Runs without their frames: what a study of a hundred thousand runs keeps of each in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.lab.run import Run

__all__ = ["MeasuresRow", "lighten"]

_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}


class MeasuresRow(Mapping[str, float]):
    """The measures of a run in few bytes: the names are shared by all runs that have the same."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: tuple[str, ...], values: bytes) -> None:
        self._names = _NAMES.setdefault(names, names)
        self._values = array("d", values)

    def __getitem__(self, name: str) -> float:
        try:
            return self._values[self._names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __reduce__(self) -> tuple[type[MeasuresRow], tuple[tuple[str, ...], bytes]]:
        return MeasuresRow, (self._names, self._values.tobytes())


def lighten(run: Run) -> Run:
    """The run with digest, measures, failovers and sketch worked out, and without frames, final values and scenario.

    The caller gives it its scenario back, and a reader that makes its frames again (`Run.remember`).
    """
    row = run.measures()
    run.sketch()
    run.each_failover()
    run.digest()
    measures = MeasuresRow(tuple(row), array("d", row.values()).tobytes())
    run.forget(measures)
    return run
