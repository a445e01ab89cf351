"""Partial partitions: cuts between some pairs of members, so that not everybody sees the same.

The first three are those of Omni-Paxos (Ng, Haridi and Carbone, EuroSys 2023, section 2): each leaves a majority that
is connected through one member, and protocols without care for it stand still. The ring and the bridge are those of
Jepsen (``jepsen.nemesis``: majorities-ring, bridge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from sim.faults.fault import Fault, Pairs, Play, World, begin
from sim.faults.partitions import cut_for
from sim.faults.when import When
from sim.kernel import BranchingStream
from sim.settings import Wait

__all__ = ["BridgeCut", "ChainedCut", "ConstrainedElection", "PartialCut", "QuorumLoss", "RingCut"]

Links = set[frozenset[str]]
"""Pairs of members whose links stay whole, both ways."""


@dataclass(frozen=True)
class PartialCut(Fault):
    """Base of the partial partitions: from ``at`` (seconds, or a trigger) for ``duration`` seconds (None: to the end).

    ``members``: names of members, in the order that the shape says; empty: all, in an order that is drawn. Links to
    clients and to members that are not named stay whole.
    """

    at: When
    duration: Wait | None = None
    members: tuple[str, ...] = ()

    least: ClassVar[int] = 3
    """The number of members below which nothing is cut."""

    def targets(self) -> tuple[str, ...]:
        return self.members

    def whole(self, order: Sequence[str]) -> Links:
        """The links that stay whole."""
        raise NotImplementedError

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        order = list((yield from scene.find_all(self.members)))
        if not self.members:
            order = self.arranged(world, stream.sample(world.replicas, len(world.replicas)))
        yield from self.cut(world, order, self.duration)

    def arranged(self, world: World, drawn: list[str]) -> list[str]:
        """The members in the order of the shape; ``drawn``: in an order that was drawn."""
        return drawn

    def cut(self, world: World, order: Sequence[str], duration: float | None) -> Play:
        """Cut all links between members that do not stay whole."""
        pairs = broken(order, self.whole(order))
        label = f"{type(self).__name__} {','.join(order)}"
        if pairs:
            yield from cut_for(world, pairs, duration, label)


def broken(order: Sequence[str], whole: Links) -> Pairs:
    """All directed links between members, but for those that stay whole."""
    return [(a, b) for a in order for b in order if a != b and frozenset((a, b)) not in whole]


def _links(pairs: list[tuple[str, str]]) -> Links:
    return {frozenset(pair) for pair in pairs}


def _leader_last(world: World, drawn: list[str]) -> list[str]:
    leader = world.find("leader")
    return [name for name in drawn if name not in leader] + [name for name in drawn if name in leader]


@dataclass(frozen=True)
class QuorumLoss(PartialCut):
    """Only the first of ``members``, which does not lead, is connected with all others; these only with it.

    The leader is up and hears of one other member, but reaches no majority; only the first member could lead.
    """

    def whole(self, order: Sequence[str]) -> Links:
        return _links([(order[0], other) for other in order[1:]])

    def arranged(self, world: World, drawn: list[str]) -> list[str]:
        return _leader_last(world, drawn)


@dataclass(frozen=True)
class ConstrainedElection(PartialCut):
    """The last of ``members``, the leader, is cut from all others; these are connected with the first only.

    Only the first can gather a majority, and it knows less than the others: for ``behind`` seconds before, it alone
    was cut from all members.
    """

    behind: Wait = 0.5

    def whole(self, order: Sequence[str]) -> Links:
        return _links([(order[0], other) for other in order[1:-1]])

    def arranged(self, world: World, drawn: list[str]) -> list[str]:
        return _leader_last(world, drawn)

    def cut(self, world: World, order: Sequence[str], duration: float | None) -> Play:
        first, *others = order
        alone = [pair for other in others for pair in ((first, other), (other, first))]
        if self.behind and alone:
            yield from cut_for(world, alone, self.behind, f"ConstrainedElection {first} | {','.join(others)}")
        yield from super().cut(world, order, duration)


@dataclass(frozen=True)
class ChainedCut(PartialCut):
    """Each of ``members`` is connected with the one before it and the one after it only; the ends are not connected."""

    def whole(self, order: Sequence[str]) -> Links:
        return _links(list(pairwise(order)))


@dataclass(frozen=True)
class RingCut(PartialCut):
    """Each of ``members`` (four or more) reaches its nearest neighbours in a ring: just a majority.

    No two members reach the same majority.
    """

    least = 4

    def whole(self, order: Sequence[str]) -> Links:
        size = len(order)
        reach = (size // 2 + 1) // 2  # on each side
        return _links([(order[i], order[(i + k) % size]) for i in range(size) for k in range(1, reach + 1)])


@dataclass(frozen=True)
class BridgeCut(PartialCut):
    """Two halves of ``members`` that are cut from each other, but for the first member, which is connected with all."""

    def whole(self, order: Sequence[str]) -> Links:
        bridge, *others = order
        half = len(others) // 2
        sides = (others[:half], others[half:])
        inside = [(a, b) for side in sides for a in side for b in side if a != b]
        return _links([*inside, *((bridge, other) for other in others)])
