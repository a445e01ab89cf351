"""Dots and causal contexts: what a replica has seen of whose updates, and the stores that joins are made of.

A *dot* ``(actor, n)`` names the n-th update of an actor. A *causal context* is a set of dots, kept as a version vector
and a cloud of dots that are not contiguous yet (a dotted version vector set). A *dot store* holds values by the dots
that wrote them; joining two keeps a dot that both have, or that one has and the other has never seen. A dot that the
other has seen and does not hold was removed there.

Source: Almeida, Shoker, Baquero, "Delta State Replicated Data Types", J. Parallel Distrib. Comput. 111 (2018), 7-8.
All values are immutable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["EMPTY", "Context", "Dot", "join_function", "join_map", "join_set"]

Dot = tuple[str, int]
JoinRule = Callable[[Any, "Context", Any, "Context"], Any]


class Context(NamedTuple):
    """A set of dots: all up to ``vector[actor]``, and those of the ``cloud``; both sorted."""

    vector: tuple[tuple[str, int], ...] = ()
    cloud: tuple[Dot, ...] = ()

    @classmethod
    def of(cls, dots: Iterable[Dot]) -> Context:
        """The context that holds exactly these dots."""
        return cls((), tuple(sorted(dots))).compact()

    def has(self, dot: Dot) -> bool:
        """Whether a dot is in the set."""
        return self.upto(dot[0]) >= dot[1] or dot in self.cloud

    def upto(self, actor: str) -> int:
        """All of this actor's dots up to this number are in the context."""
        return next((n for name, n in self.vector if name == actor), 0)

    def next_dot(self, actor: str) -> Dot:
        """A dot of this actor that was never used."""
        highest = max((n for name, n in self.cloud if name == actor), default=0)
        return (actor, 1 + max(self.upto(actor), highest))

    def union(self, other: Context) -> Context:
        """All dots of both."""
        vector = dict(self.vector)
        for actor, n in other.vector:
            vector[actor] = max(n, vector.get(actor, 0))
        cloud = tuple(sorted({*self.cloud, *other.cloud}))
        return Context(tuple(sorted(vector.items())), cloud).compact()

    def compact(self) -> Context:
        """The same set with as much as possible in the vector."""
        vector = dict(self.vector)
        left = []
        for actor, n in self.cloud:  # sorted, so that gaps close in one pass
            if n == vector.get(actor, 0) + 1:
                vector[actor] = n
            elif n > vector.get(actor, 0):
                left.append((actor, n))
        return Context(tuple(sorted(vector.items())), tuple(left))

    def covers(self, other: Context) -> bool:
        """Whether every dot of the other is here."""
        return self.union(other) == self


EMPTY = Context()

DotSet = tuple[Dot, ...]
DotFunction = tuple[tuple[Dot, Any], ...]
DotMap = tuple[tuple[Any, Any], ...]


def join_set(a: DotSet, seen_a: Context, b: DotSet, seen_b: Context) -> DotSet:
    """Join two sets of dots (sorted tuples)."""
    both = set(a) & set(b)
    kept = {*both, *(d for d in a if not seen_b.has(d)), *(d for d in b if not seen_a.has(d))}
    return tuple(sorted(kept))


def join_function(a: DotFunction, seen_a: Context, b: DotFunction, seen_b: Context) -> DotFunction:
    """Join two maps from dots to values; a dot has the same value everywhere."""
    values = {**dict(a), **dict(b)}
    kept = join_set(tuple(d for d, _ in a), seen_a, tuple(d for d, _ in b), seen_b)
    return tuple((dot, values[dot]) for dot in kept)


def join_map(join: JoinRule) -> JoinRule:
    """How to join two maps from keys to dot stores, each joined by ``join``; empty ones are left out."""

    def joined(a: DotMap, seen_a: Context, b: DotMap, seen_b: Context) -> DotMap:
        first: Mapping[Any, Any] = dict(a)
        second: Mapping[Any, Any] = dict(b)
        merged = []
        for key in sorted({*first, *second}, key=repr):
            store = join(first.get(key, ()), seen_a, second.get(key, ()), seen_b)
            if store:
                merged.append((key, store))
        return tuple(merged)

    return joined
