"""Counters: increments commute, but each returns the new total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

if TYPE_CHECKING:
    from sim.node import RandomSource

__all__ = ["Counter"]


class Counter(Application):
    """Named counters that begin at 0: ``increment`` adds an amount and returns the total, ``get`` reads it."""

    operations: ClassVar[frozenset[str]] = frozenset({"increment", "get"})
    reads: ClassVar[frozenset[str]] = frozenset({"get"})
    several_keys: ClassVar[frozenset[str]] = frozenset()
    judged_as: ClassVar[str | None] = "counter"

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def apply(self, command: Command) -> Result:
        total = self.totals.get(command.key, 0)
        if command.kind == "get":
            return Result("ok", total)
        self.totals[command.key] = total + command.value
        return Result("ok", command.value, total + command.value)

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any]:
        """One of three counters, and an amount from 1 to 3."""
        return f"n{random.below(3)}", None if kind == "get" else 1 + random.below(3)

    def snapshot(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.totals.items()))

    def restore(self, snapshot: tuple[tuple[str, int], ...]) -> None:
        self.totals = dict(snapshot)
