"""Conflict-free replicated data types: states that merge to the same whatever the order (Shapiro et al., SSS 2011).

Every state is an immutable value with ``merge`` (commutative, associative, idempotent) and ``value``. An update returns
a *delta*, a small state of the same type; merging it into the state is the update (Almeida, Shoker, Baquero 2018).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, Self

from sim.protocols.replication.crdt.dots import EMPTY, Context, Dot, join_function, join_map, join_set

__all__ = ["GCounter", "LwwRegister", "MvRegister", "OrMap", "OrSet", "PnCounter"]


class GCounter(NamedTuple):
    """A counter that only grows: how much each actor has added."""

    counts: tuple[tuple[str, int], ...] = ()

    @property
    def value(self) -> int:
        """The sum over all actors."""
        return sum(n for _, n in self.counts)

    def increment(self, actor: str, amount: int = 1) -> Self:
        """The delta that adds ``amount`` (>= 0)."""
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
        """What was added less what was taken."""
        return self.added.value - self.taken.value

    def increment(self, actor: str, amount: int = 1) -> Self:
        """The delta that adds ``amount``, which may be negative."""
        if amount >= 0:
            return type(self)(self.added.increment(actor, amount), GCounter())
        return type(self)(GCounter(), self.taken.increment(actor, -amount))

    def merge(self, other: Self) -> Self:
        """Both counters merged."""
        return type(self)(self.added.merge(other.added), self.taken.merge(other.taken))


class LwwRegister(NamedTuple):
    """A register whose last write wins: the one with the highest timestamp ``(time, actor)``."""

    stamp: tuple[float, str] = (float("-inf"), "")
    value: Any = None

    def write(self, time: float, actor: str, value: Any) -> Self:
        """The delta that writes a value at a time (seconds)."""
        return type(self)((time, actor), value)

    def merge(self, other: Self) -> Self:
        """The later write."""
        return other if other.stamp > self.stamp else self


class MvRegister(NamedTuple):
    """A register that keeps all values written concurrently, until a write that has seen them replaces them."""

    store: tuple[tuple[Dot, Any], ...] = ()
    context: Context = EMPTY

    @property
    def value(self) -> tuple[Any, ...]:
        """The values, in the order of their dots; usually one."""
        return tuple(value for _, value in self.store)

    def write(self, actor: str, value: Any) -> Self:
        """The delta that replaces all values held here."""
        dot = self.context.next_dot(actor)
        return type(self)(((dot, value),), Context.of([dot, *(d for d, _ in self.store)]))

    def merge(self, other: Self) -> Self:
        """Values that neither side has replaced."""
        store = join_function(self.store, self.context, other.store, other.context)
        return type(self)(store, self.context.union(other.context))


class OrSet(NamedTuple):
    """An observed-remove set: a remove takes away only the adds that it has seen, so a concurrent add wins."""

    store: tuple[tuple[Any, tuple[Dot, ...]], ...] = ()
    context: Context = EMPTY

    @property
    def value(self) -> tuple[Any, ...]:
        """The elements, in a fixed order."""
        return tuple(element for element, _ in self.store)

    def dots(self, element: Hashable) -> tuple[Dot, ...]:
        """The adds of an element that are not removed."""
        found: tuple[Dot, ...] = dict(self.store).get(element, ())
        return found

    def add(self, actor: str, element: Hashable) -> Self:
        """The delta that adds an element."""
        dot = self.context.next_dot(actor)
        return type(self)(((element, (dot,)),), Context.of([dot, *self.dots(element)]))

    def remove(self, element: Hashable) -> Self:
        """The delta that removes an element, as far as it is seen here."""
        return type(self)((), Context.of(self.dots(element)))

    def merge(self, other: Self) -> Self:
        """Adds that neither side has removed."""
        store = join_map(join_set)(self.store, self.context, other.store, other.context)
        return type(self)(store, self.context.union(other.context))


class OrMap(NamedTuple):
    """An observed-remove map whose values are multi-value registers, all under one causal context."""

    store: tuple[tuple[Any, tuple[tuple[Dot, Any], ...]], ...] = ()
    context: Context = EMPTY

    @property
    def value(self) -> dict[Any, tuple[Any, ...]]:
        """Key -> the values written concurrently."""
        return {key: tuple(value for _, value in store) for key, store in self.store}

    def put(self, actor: str, key: Hashable, value: Any) -> Self:
        """The delta that replaces all values of a key held here."""
        dot = self.context.next_dot(actor)
        seen = [d for d, _ in dict(self.store).get(key, ())]
        return type(self)(((key, ((dot, value),)),), Context.of([dot, *seen]))

    def remove(self, key: Hashable) -> Self:
        """The delta that removes a key, as far as it is seen here."""
        return type(self)((), Context.of(d for d, _ in dict(self.store).get(key, ())))

    def merge(self, other: Self) -> Self:
        """Writes that neither side has replaced or removed."""
        store = join_map(join_function)(self.store, self.context, other.store, other.context)
        return type(self)(store, self.context.union(other.context))
