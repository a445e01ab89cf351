"""Quorum systems: the sets of nodes that are large enough for a decision.

A quorum is a predicate over a set of node names, not a number of answers: a node that answers twice counts once.
A quorum system is a frozen value; `QuorumSystem.over` binds it to members.

Sources: Gifford, "Weighted Voting for Replicated Data" (SOSP 1979); Cheung, Ammar, Ahamad, "The Grid Protocol"
(ICDE 1990); Howard, Malkhi, Spiegelman, "Flexible Paxos: Quorum Intersection Revisited" (OPODIS 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from sim.settings import Count, NotNegative, Value
from sim.system import System

__all__ = [
    "Columns",
    "Explicit",
    "Grid",
    "Majority",
    "QuorumSystem",
    "QuorumTest",
    "Rows",
    "Threshold",
    "Weighted",
    "as_quorums",
    "disjoint_pair",
    "refuse_disjoint",
]

QuorumTest = Callable[[Collection[str]], bool]
"""Whether a collection of distinct names contains a quorum."""


@dataclass(frozen=True)
class QuorumSystem(Value):
    """Base of all quorum systems. Any superset of a quorum is a quorum."""

    def over(self, members: Sequence[str]) -> QuorumTest:
        """The predicate over sets of these members. Raises ValueError if the quorum system does not fit them."""
        raise NotImplementedError

    def minimal(self, members: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The minimal quorums, each in the order of ``members``, in a fixed order."""
        enough = self.over(members)
        for size in range(1, len(members) + 1):
            for chosen in combinations(members, size):
                if enough(chosen) and not any(enough([m for m in chosen if m != out]) for out in chosen):
                    yield chosen

    def voters(self, members: Sequence[str]) -> tuple[str, ...]:
        """The members that are in some minimal quorum; the others have no votes."""
        within = {name for quorum in self.minimal(members) for name in quorum}
        return tuple(name for name in members if name in within)

    @property
    def label(self) -> str:
        """Its name in tables and charts."""
        return repr(self)


@dataclass(frozen=True)
class Threshold(QuorumSystem):
    """Any ``size`` members."""

    size: Count

    def over(self, members: Sequence[str]) -> QuorumTest:
        size = self.size
        if size > len(members):
            raise ValueError(f"a quorum of {size} members cannot be had from {len(members)}")
        return lambda names: len(names) >= size

    def minimal(self, members: Sequence[str]) -> Iterator[tuple[str, ...]]:
        yield from combinations(members, self.size)

    def voters(self, members: Sequence[str]) -> tuple[str, ...]:
        return tuple(members)

    @property
    def label(self) -> str:
        return str(self.size)


@dataclass(frozen=True)
class Majority(QuorumSystem):
    """More than half of the members."""

    def over(self, members: Sequence[str]) -> QuorumTest:
        return self.count(members).over(members)

    def minimal(self, members: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return self.count(members).minimal(members)

    def voters(self, members: Sequence[str]) -> tuple[str, ...]:
        return tuple(members)

    @staticmethod
    def count(members: Sequence[str]) -> Threshold:
        """The majority of these members as a count."""
        return Threshold(len(members) // 2 + 1)

    @property
    def label(self) -> str:
        return "majority"


@dataclass(frozen=True)
class Weighted(QuorumSystem):
    """Members whose weights, given in the order of the members, sum to at least ``threshold``.

    ``threshold=None``: more than half of the sum (Gifford 1979).
    """

    weights: tuple[NotNegative, ...]
    threshold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(self.weights))
        total = sum(self.weights)
        if self.threshold is not None and not 0 < self.threshold <= total:
            raise ValueError(
                f"the threshold must be above 0 and within the sum {total}, not {self.threshold!r}"
            )
        if not total > 0:
            raise ValueError(f"some weight must be above 0, not {self.weights!r}")

    def over(self, members: Sequence[str]) -> QuorumTest:
        if len(self.weights) != len(members):
            raise ValueError(f"{len(self.weights)} weights do not fit {len(members)} members")
        weighted = tuple(zip(members, self.weights, strict=True))
        half, threshold = sum(self.weights) / 2, self.threshold
        # Sums in the order of the members: sums of floats depend on the order, and ``names`` may be a set.
        if threshold is None:
            return lambda names: sum([weight for name, weight in weighted if name in names]) > half
        return lambda names: sum([weight for name, weight in weighted if name in names]) >= threshold


@dataclass(frozen=True)
class Explicit(QuorumSystem):
    """The given sets of names, and all supersets of them."""

    quorums: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        quorums = tuple(tuple(sorted(set(quorum))) for quorum in self.quorums)
        object.__setattr__(self, "quorums", quorums)
        if not quorums or not all(quorums):
            raise ValueError(f"at least one quorum is needed, and none may be empty: {self.quorums!r}")

    def over(self, members: Sequence[str]) -> QuorumTest:
        for quorum in self.quorums:
            for name in quorum:
                if name not in members:
                    raise ValueError(f"the quorum {quorum} names {name!r}, which is not a member")
        sets = [frozenset(quorum) for quorum in self.quorums]
        return lambda names: any(s.issubset(names) for s in sets)

    def minimal(self, members: Sequence[str]) -> Iterator[tuple[str, ...]]:
        sets = [frozenset(quorum) for quorum in dict.fromkeys(self.quorums)]
        for quorum in sets:
            if not any(other < quorum for other in sets):
                yield tuple(m for m in members if m in quorum)


@dataclass(frozen=True)
class Rows(QuorumSystem):
    """The members form a grid, row by row; a quorum is one full row."""

    rows: Count
    columns: Count

    def lines(self, members: Sequence[str]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        """The rows and the columns of the grid. Raises ValueError unless the members fill it."""
        if len(members) != self.rows * self.columns:
            raise ValueError(
                f"a grid of {self.rows} x {self.columns} holds {self.rows * self.columns} members, "
                f"not {len(members)}"
            )
        width = self.columns
        rows = [tuple(members[i : i + width]) for i in range(0, len(members), width)]
        return rows, [tuple(row[i] for row in rows) for i in range(width)]

    def quorums(self, members: Sequence[str]) -> list[tuple[str, ...]]:
        """All minimal quorums."""
        return self.lines(members)[0]

    def over(self, members: Sequence[str]) -> QuorumTest:
        sets = [frozenset(quorum) for quorum in self.quorums(members)]
        return lambda names: any(s.issubset(names) for s in sets)

    def minimal(self, members: Sequence[str]) -> Iterator[tuple[str, ...]]:
        yield from self.quorums(members)


@dataclass(frozen=True)
class Columns(Rows):
    """The members form a grid, row by row; a quorum is one full column. Every column intersects every row."""

    def quorums(self, members: Sequence[str]) -> list[tuple[str, ...]]:
        return self.lines(members)[1]


@dataclass(frozen=True)
class Grid(Rows):
    """The members form a grid, row by row; a quorum is one full row and one full column."""

    def quorums(self, members: Sequence[str]) -> list[tuple[str, ...]]:
        rows, columns = self.lines(members)
        return [tuple(m for m in members if m in row or m in column) for row in rows for column in columns]


def as_quorums(given: QuorumSystem | int | None) -> QuorumSystem:
    """A quorum system from a value: None is the majority, an integer a count."""
    if given is None:
        return Majority()
    if isinstance(given, QuorumSystem):
        return given
    if isinstance(given, int):
        return Threshold(given)
    raise ValueError(f"not a quorum system: {given!r}")


def disjoint_pair(
    first: QuorumSystem, second: QuorumSystem, members: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """A quorum of ``first`` and a quorum of ``second`` that do not intersect; None if all of them intersect.

    Raises ValueError if a quorum system does not fit the members. The time grows with the number of minimal quorums.
    """
    if isinstance(first, Majority):
        first = first.count(members)
    if isinstance(second, Majority):
        second = second.count(members)
    if isinstance(first, Threshold) and not isinstance(second, Threshold):
        found = disjoint_pair(second, first, members)
        return (found[1], found[0]) if found else None
    first.over(members)  # raises ValueError if it does not fit
    also = second.over(members)
    if isinstance(first, Threshold) and isinstance(second, Threshold):
        if first.size + second.size > len(members):
            return None
        return tuple(members[: first.size]), tuple(members[-second.size :])
    for quorum in first.minimal(members):
        rest = [m for m in members if m not in quorum]
        if also(rest):
            return quorum, _shrink(rest, also)
    return None


def refuse_disjoint(
    system: System, fields: tuple[str, str], kinds: tuple[str, str], members: Sequence[str]
) -> None:
    """Raise ValueError if quorums in two fields of a system do not intersect, unless the system is ``unsafe``.

    Howard, Malkhi, Spiegelman 2016: Paxos needs only that every quorum of phase 1 intersects every quorum of phase 2.
    Quorums that do not fit the ``members`` are refused in any case. ``kinds``: the names of the fields in words.
    """
    first, second = (as_quorums(getattr(system, field)) for field in fields)
    pair = disjoint_pair(first, second, members)
    if pair is not None and not system.unsafe:
        raise ValueError(
            f"{type(system).__name__}: the {kinds[0]} quorum {', '.join(pair[0])} and the {kinds[1]} quorum "
            f"{', '.join(pair[1])} do not meet ({fields[0]}={first.label}, {fields[1]}={second.label}); "
            "unsafe=True runs it all the same"
        )


def _shrink(names: Sequence[str], enough: QuorumTest) -> tuple[str, ...]:
    """A minimal quorum within a set of names that contains a quorum."""
    kept = list(names)
    for name in names:
        without = [m for m in kept if m != name]
        if enough(without):
            kept = without
    return tuple(kept)
