"""Crashes and restarts: at given times, or at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.faults.fault import Fault, Play, Scene, World, begin, within
from sim.faults.outage import Outage, end_outages
from sim.faults.when import When
from sim.kernel import BranchingStream
from sim.settings import Count, Seconds, Share, Wait

__all__ = ["Crash", "RandomCrashes", "Restart"]


@dataclass(frozen=True)
class Crash(Fault):
    """Crash ``target`` at ``at`` (seconds, or a trigger); restart it after ``down`` seconds (None: never).

    A region crashes as a whole. ``wiped``: it comes back with an empty disk. ``for_good``: it stays down when all
    faults have ended, too, unless more members than the system can do without (`System.max_gone`) would be gone then.
    A member that is down already is gone for good, too: no other fault restarts it. Of crashes of one member that
    overlap, the last one restarts it; one with ``down=None`` keeps it down until a `Restart`.
    """

    target: str
    at: When
    down: Wait | None = None
    wiped: bool = False
    for_good: bool = False

    def __post_init__(self) -> None:
        if self.wiped and self.down is None:
            raise ValueError("Crash: wiped=True is of the restart, but down=None: it never restarts")
        if self.for_good and self.down is not None:
            raise ValueError(f"Crash: for_good=True, but down={self.down!r}: it restarts")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        outage = Outage(world)
        for name in found:
            outage.begin(name, for_good=self.for_good)
        if self.down is not None:
            yield world.env.timeout(self.down)
            for name in found:
                outage.end(name, wiped=self.wiped)


@dataclass(frozen=True)
class Restart(Fault):
    """Restart ``target`` at ``at`` (seconds, or a trigger); ``wiped``: with an empty disk. No effect on who is up.

    It ends what other faults keep down, except for good.

    ``target``: a member, a machine or a region, or ``"random"``: one of the members that are down. A member that
    holds a role is up, so a role is refused.
    """

    takes_roles: ClassVar[bool] = False

    target: str
    at: When
    wiped: bool = False

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        if self.target == "random":
            down = [name for name in world.replicas if not world.is_up(name)]
            found = tuple(stream.sample(down, min(1, len(down))))
        else:
            found = yield from scene.find(self.target)
        for name in found:
            end_outages(world, name)
            world.restart(name, wiped=self.wiped)


@dataclass(frozen=True)
class RandomCrashes(Fault):
    """Members crash and restart at random: exponential times with mean ``mttf`` up and ``mttr`` down (seconds).

    Parameters
    ----------
    members:
        Names of members or regions; empty: all replicas that are part of the system when it begins.
    max_down:
        The largest number of members that are down, or still recovering, at once; None: no limit.
    wiped:
        The probability that a member restarts with an empty disk.
    start, end:
        No crash before ``start`` or after ``end`` (seconds); at ``end`` all members that it has taken down restart.
    """

    mttf: Seconds
    mttr: Seconds
    members: tuple[str, ...] = ()
    max_down: Count | None = None
    start: Wait = 0.0
    end: Wait | None = None
    wiped: Share = 0.0

    def __post_init__(self) -> None:
        within("RandomCrashes", self.start, self.end)

    def targets(self) -> tuple[str, ...]:
        return self.members

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield world.env.timeout(self.start)
        victims = (yield from Scene(world, stream).find_all(self.members)) or world.replicas
        for name in victims:
            # Each member has its own stream, so that its crashes do not depend on the other members.
            world.env.process(self._member(world, name, stream.branch(name), victims))

    def _member(self, world: World, name: str, stream: BranchingStream, victims: tuple[str, ...]) -> Play:
        wipes = stream.branch("wiped")
        end = float("inf") if self.end is None else self.end
        while True:
            yield world.env.timeout(stream.exponential(self.mttf))
            if world.env.now >= end:
                return
            pause = stream.exponential(self.mttr)
            down = sum(1 for other in victims if not world.is_well(other))
            if not world.is_up(name) or (self.max_down is not None and down >= self.max_down):
                continue
            outage = Outage(world)
            outage.begin(name)
            yield world.env.timeout(max(0.0, min(pause, end - world.env.now)))
            outage.end(name, wiped=self.wiped > 0 and wipes.chance(self.wiped))
