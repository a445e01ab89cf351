"""The writes of a run that clients saw succeed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sim.protocols.client import Operation, Outcome

__all__ = ["Acknowledged"]

_Row = tuple[Any, ...]


class Acknowledged(Mapping[tuple[int, int], Outcome]):
    """(session, sequence) -> the outcome, for each write that a client saw succeed, in the order of the answers.

    An outcome is made from its row of the frame ``operations`` when it is asked for, because a run of a million
    operations would otherwise spend most of its memory on these objects. `Outcome.value` is the value written.
    """

    def __init__(self, rows: Mapping[tuple[int, int], _Row | Outcome] | None = None) -> None:
        self._rows = dict(rows or {})

    def add(self, outcome: Outcome, row: _Row | None) -> None:
        """Add a write; ``row``: its row, None if that does not say what was written."""
        self._rows[outcome.session, outcome.sequence] = outcome if row is None else row

    def copy(self) -> Acknowledged:
        """The same writes; what is added later is not among them."""
        return Acknowledged(self._rows)

    def __getitem__(self, number: tuple[int, int]) -> Outcome:
        row = self._rows[number]
        if isinstance(row, Outcome):
            return row
        session, kind, key, value, result, called, returned, status, _, node, _, attempts, client = row[:13]
        operation = Operation(kind, key, value)
        return Outcome(
            *(session, number[1], operation, called, returned, status, value, result, attempts, node, client)
        )

    def __contains__(self, number: object) -> bool:
        return number in self._rows

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
