"""Crashes and restarts: at given times, or at random."""

from __future__ import annotations

from dataclasses import dataclass

from sim.faults.fault import Fault, Play, World, await_target, within
from sim.kernel import Stream
from sim.settings import Count, Seconds, Share, Wait

__all__ = ["Crash", "RandomCrashes", "Restart"]


@dataclass(frozen=True)
class Crash(Fault):
    """Crash ``target`` at time ``at``; restart it after ``down`` seconds (None: never).

    A region crashes as a whole. ``wiped``: it comes back with an empty disk.
    """

    target: str
    at: Wait
    down: Wait | None = None
    wiped: bool = False

    def __post_init__(self) -> None:
        if self.wiped and self.down is None:
            raise ValueError("Crash: wiped=True is of the restart, but down=None: it never restarts")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Play:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        victims = [name for name in found if world.is_up(name)]
        for name in victims:
            world.crash(name)
        if self.down is not None:
            yield world.env.timeout(self.down)
            for name in victims:
                world.restart(name, wiped=self.wiped)


@dataclass(frozen=True)
class Restart(Fault):
    """Restart ``target`` (a member or a region) at time ``at``; ``wiped``: with an empty disk."""

    target: str
    at: Wait
    wiped: bool = False

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Play:
        yield world.env.timeout(self.at)
        for name in world.find(self.target):
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
        No crash before ``start`` or after ``end`` (seconds); at ``end`` all members that are down restart.
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

    def play(self, world: World, stream: Stream) -> Play:
        yield world.env.timeout(self.start)
        named = [name for target in self.members for name in world.find(target)]
        victims = tuple(named or world.replicas)
        for name in victims:
            # Each member has its own stream, so that its crashes do not depend on the other members.
            world.env.process(
                self._member(world, name, world.streams[f"faults/random-crashes/{name}"], victims)
            )

    def _member(self, world: World, name: str, stream: Stream, victims: tuple[str, ...]) -> Play:
        end = float("inf") if self.end is None else self.end
        while True:
            yield world.env.timeout(stream.exponential(self.mttf))
            if world.env.now >= end:
                return
            pause = stream.exponential(self.mttr)
            down = sum(1 for other in victims if not world.is_well(other))
            if not world.is_up(name) or (self.max_down is not None and down >= self.max_down):
                continue
            world.crash(name)
            yield world.env.timeout(max(0.0, min(pause, end - world.env.now)))
            world.restart(name, wiped=self.wiped > 0 and stream.chance(self.wiped))
