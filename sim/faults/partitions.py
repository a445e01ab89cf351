"""Partitions and cuts: full, partial, one-way; at given times, or at random."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sim.faults.fault import Fault, Pairs, Play, World, begin, within
from sim.faults.when import When
from sim.kernel import BranchingStream, Stream
from sim.settings import Seconds, Wait

__all__ = ["Cut", "Partition", "RandomPartitions", "between", "cut_for"]


@dataclass(frozen=True)
class Partition(Fault):
    """Cut the network between groups of nodes at ``at`` for ``duration`` seconds (None: until the end).

    ``at``: seconds, or a trigger.

    Parameters
    ----------
    groups:
        Tuples of targets. A single group is cut from all other nodes. Otherwise, nodes in no group (clients, too) keep
        all their links. A region means all nodes in it, clients included. A node that belongs to several groups, such
        as the leader and its region, counts in the first of them.
    one_way:
        Only messages from an earlier group to a later group are lost (with one group: messages that leave it).
    """

    groups: tuple[tuple[str, ...], ...]
    at: When
    duration: Wait | None = None
    one_way: bool = False

    def __post_init__(self) -> None:
        if not self.groups or not all(self.groups):
            raise ValueError(
                f"Partition: at least one group of at least one target is needed, not {self.groups!r}"
            )
        named = self.targets()
        twice = sorted({target for target in named if named.count(target) > 1})
        if twice:
            raise ValueError(
                f"Partition: {', '.join(map(repr, twice))} stands in more than one place of {self.groups!r}"
            )

    def _convert(self) -> None:
        if isinstance(self.groups, list | tuple):  # one target is a group, too
            self._keep(groups=tuple((g,) if isinstance(g, str) else g for g in self.groups))

    def targets(self) -> tuple[str, ...]:
        return tuple(t for group in self.groups for t in group)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        groups: list[tuple[str, ...]] = []
        for group in self.groups:
            names: dict[str, None] = {}
            for target in group:
                found = world.everyone(target) or (yield from scene.find(target))
                names.update(dict.fromkeys(name for name in found if all(name not in g for g in groups)))
            groups.append(tuple(names))
        if len(groups) == 1:
            groups.append(tuple(n for n in world.everyone() if n not in groups[0]))
        yield from cut_for(
            world, between(groups, self.one_way), self.duration, " | ".join(map(",".join, groups))
        )


def between(groups: Iterable[tuple[str, ...]], one_way: bool = False) -> Pairs:
    """All directed links between different groups."""
    listed = list(groups)
    pairs = []
    for i, first in enumerate(listed):
        for second in listed[i + 1 :]:
            for a in first:
                for b in second:
                    pairs.append((a, b))
                    if not one_way:
                        pairs.append((b, a))
    return pairs


def cut_for(world: World, pairs: Pairs, duration: float | None, label: str) -> Play:
    """Cut links, wait, heal them."""
    world.cut(pairs, label)
    if duration is not None:
        yield world.env.timeout(duration)
        world.heal(pairs, label)


@dataclass(frozen=True)
class Cut(Fault):
    """Cut the link between two targets at ``at`` for ``duration`` seconds; ``one_way``: only from src to dst.

    ``at``: seconds, or a trigger. ``duration`` None: until the end of the run.
    """

    src: str
    dst: str
    at: When
    duration: Wait | None = None
    one_way: bool = False

    def __post_init__(self) -> None:
        if self.src == self.dst:
            raise ValueError(f"Cut: two ends are needed, not {self.src!r} and {self.dst!r}")

    def targets(self) -> tuple[str, ...]:
        return (self.src, self.dst)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        sources = yield from scene.find(self.src)
        targets = yield from scene.find(self.dst)
        arrow = "->" if self.one_way else "-"
        label = f"{','.join(sources)}{arrow}{','.join(targets)}"
        pairs = [(a, b) for a, b in between((sources, targets), self.one_way) if a != b]
        yield from cut_for(world, pairs, self.duration, label)


@dataclass(frozen=True)
class RandomPartitions(Fault):
    """Random partitions: the network is whole for a mean of ``mttf`` seconds, then split for a mean of ``mttr``.

    Each split is drawn: a full partition into two groups, one member cut off, one link cut, or one direction of one
    link cut. From ``start`` to ``end`` (seconds; None: the end of the run).
    """

    mttf: Seconds
    mttr: Seconds
    start: Wait = 0.0
    end: Wait | None = None

    def __post_init__(self) -> None:
        within("RandomPartitions", self.start, self.end)

    def play(self, world: World, stream: BranchingStream) -> Play:
        end = float("inf") if self.end is None else self.end
        yield world.env.timeout(self.start)
        while True:
            yield world.env.timeout(stream.exponential(self.mttf))
            duration = stream.exponential(self.mttr)
            pairs, label = self._draw(world.replicas, stream)
            if world.env.now >= end:
                return
            if pairs:
                yield from cut_for(world, pairs, min(duration, end - world.env.now), label)

    @staticmethod
    def _draw(members: tuple[str, ...], stream: Stream) -> tuple[Pairs, str]:
        shuffled = stream.sample(members, len(members))
        shape = stream.below(4)
        if len(members) < 2:
            return [], ""
        if shape == 0:
            half = 1 + stream.below(len(members) - 1)
            groups = (tuple(shuffled[:half]), tuple(shuffled[half:]))
            return between(groups), " | ".join(map(",".join, groups))
        if shape == 1:
            groups = ((shuffled[0],), tuple(shuffled[1:]))
            return between(groups), " | ".join(map(",".join, groups))
        a, b = shuffled[0], shuffled[1]
        return ([(a, b), (b, a)], f"{a}-{b}") if shape == 2 else ([(a, b)], f"{a}->{b}")
