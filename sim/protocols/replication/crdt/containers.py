"""Observed-remove sets and maps without tombstones (Almeida, Shoker, Baquero 2018).

A state is an immutable value with ``merge`` (commutative, associative, idempotent) and ``value``. An update returns a
*delta*, a small state of the same type; merging it into the state is the update (Almeida, Shoker, Baquero 2018).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, Self

from sim.protocols.causality.dots import EMPTY, Context, Dot, join_function, join_map, join_set

__all__ = ["OrMap", "OrSet"]


class OrSet(NamedTuple):
    """An observed-remove set: a remove cancels only the adds that it has seen, so a concurrent add wins."""

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
        """The delta that removes an element: it cancels the adds in this state."""
        return type(self)((), Context.of(self.dots(element)))

    def merge(self, other: Self) -> Self:
        """The union of both sides, without adds that either side has removed."""
        store = join_map(join_set)(self.store, self.context, other.store, other.context)
        return type(self)(store, self.context.union(other.context))


class OrMap(NamedTuple):
    """An observed-remove map whose values are multi-value registers that share one causal context."""

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
        """The delta that removes a key: it cancels the writes in this state."""
        return type(self)((), Context.of(d for d, _ in dict(self.store).get(key, ())))

    def merge(self, other: Self) -> Self:
        """The union of both sides, without writes that either side has replaced or removed."""
        store = join_map(join_function)(self.store, self.context, other.store, other.context)
        return type(self)(store, self.context.union(other.context))
