"""Counters that converge (Shapiro et al., SSS 2011): each actor has its own count.

A state is an immutable value with ``merge`` (commutative, associative, idempotent) and ``value``. An update returns a
*delta*, a small state of the same type; merging it into the state is the update (Almeida, Shoker, Baquero 2018).
"""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = ["GCounter", "PnCounter"]


class GCounter(NamedTuple):
    """A counter that only grows: how much each actor has added."""

    counts: tuple[tuple[str, int], ...] = ()

    @property
    def value(self) -> int:
        """The sum over all actors."""
        return sum(n for _, n in self.counts)

    def increment(self, actor: str, amount: int = 1) -> Self:
        """The delta that adds ``amount`` (>= 0). Raises ValueError for a negative amount."""
        if amount < 0:
            raise ValueError(f"a grow-only counter cannot add {amount!r}")
        return type(self)(((actor, dict(self.counts).get(actor, 0) + amount),))

    def merge(self, other: Self) -> Self:
        """For each actor, the larger count."""
        merged = dict(self.counts)
        for actor, n in other.counts:
            merged[actor] = max(n, merged.get(actor, 0))
        return type(self)(tuple(sorted(merged.items())))


class PnCounter(NamedTuple):
    """A counter that grows and shrinks: two grow-only counters."""

    added: GCounter = GCounter()
    taken: GCounter = GCounter()

    @property
    def value(self) -> int:
        """The sum of additions minus the sum of subtractions."""
        return self.added.value - self.taken.value

    def increment(self, actor: str, amount: int = 1) -> Self:
        """The delta that adds ``amount``, which may be negative."""
        if amount >= 0:
            return type(self)(self.added.increment(actor, amount), GCounter())
        return type(self)(GCounter(), self.taken.increment(actor, -amount))

    def merge(self, other: Self) -> Self:
        """Both counters merged."""
        return type(self)(self.added.merge(other.added), self.taken.merge(other.taken))
