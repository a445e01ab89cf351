"""What is not dead but not well: flaky links, slow cores, pauses, wrong clocks."""

from __future__ import annotations

from dataclasses import dataclass

from sim.faults.fault import Fault, Story, World, at_least_zero, await_target, positive
from sim.faults.partitions import between
from sim.kernel import Stream

__all__ = ["ClockJump", "Flaky", "Pause", "RandomPauses", "Slow"]


@dataclass(frozen=True)
class Flaky(Fault):
    """Links of ``target`` get slower by the factor ``slowdown`` and lose ``loss`` more, for a while."""

    target: str
    at: float
    duration: float | None = None
    slowdown: float = 1.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        at_least_zero("Flaky", at=self.at, duration=self.duration)
        positive("Flaky", slowdown=self.slowdown)
        if not 0 <= self.loss <= 1:
            raise ValueError(f"Flaky: loss must be between 0 and 1, not {self.loss!r}")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        others = [n for n in world.everyone() if n not in found]
        pairs = between((found, tuple(others)))
        world.record(",".join(found), "flaky", {"slowdown": self.slowdown, "loss": self.loss})
        world.disturb(pairs, self.slowdown, self.loss)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            world.disturb(pairs, 1.0, 0.0)
            world.record(",".join(found), "steady", {})


@dataclass(frozen=True)
class Slow(Fault):
    """A grey failure: the cores of ``target`` run at ``speed`` (1 is normal) from ``at`` for ``duration`` seconds."""

    target: str
    at: float
    duration: float | None = None
    speed: float = 0.1

    def __post_init__(self) -> None:
        at_least_zero("Slow", at=self.at, duration=self.duration)
        positive("Slow", speed=self.speed)

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        for name in found:
            world.record(name, "slow", {"speed": self.speed})
            world.set_speed(name, self.speed)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            for name in found:
                world.set_speed(name, 1.0)
                world.record(name, "steady", {})


@dataclass(frozen=True)
class Pause(Fault):
    """The process of ``target`` stands still from ``at`` for ``duration`` seconds: a SIGSTOP, or garbage collection.

    Nothing of it runs; its clock goes on. Then its timers fire late, before it reads what has arrived meanwhile.
    """

    target: str
    at: float
    duration: float

    def __post_init__(self) -> None:
        at_least_zero("Pause", at=self.at)
        positive("Pause", duration=self.duration)

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        for name in found:
            world.pause(name)
        yield world.env.timeout(self.duration)
        for name in found:
            world.resume(name)


@dataclass(frozen=True)
class RandomPauses(Fault):
    """Members stand still at random: exponential times with mean ``every`` between pauses of mean ``length`` (seconds).

    ``members``: names of members or regions; empty: all replicas. No pause begins before ``start`` or after ``end``.
    """

    every: float
    length: float
    members: tuple[str, ...] = ()
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        positive("RandomPauses", every=self.every, length=self.length)
        at_least_zero("RandomPauses", start=self.start, end=self.end)

    def targets(self) -> tuple[str, ...]:
        return self.members

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.start)
        named = [name for target in self.members for name in world.find(target)]
        for name in named or world.replicas:
            world.env.process(self._member(world, name, world.streams[f"faults/random-pauses/{name}"]))

    def _member(self, world: World, name: str, stream: Stream) -> Story:
        end = float("inf") if self.end is None else self.end
        while True:
            yield world.env.timeout(stream.exponential(self.every))
            length = stream.exponential(self.length)
            if world.env.now >= end:
                return
            world.pause(name)
            yield world.env.timeout(min(length, end - world.env.now))
            world.resume(name)


@dataclass(frozen=True)
class ClockJump(Fault):
    """The clock of ``target`` jumps to ``offset`` seconds ahead of true time, or drifts by ``drift`` from now on."""

    target: str
    at: float
    offset: float | None = None
    drift: float | None = None

    def __post_init__(self) -> None:
        at_least_zero("ClockJump", at=self.at)
        if self.drift is not None and not self.drift > -1:
            raise ValueError(f"ClockJump: drift must be above -1, not {self.drift!r}")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        for name in (yield from await_target(world, self.target)):
            world.record(name, "clock", {"offset": self.offset, "drift": self.drift})
            world.set_clock(name, self.offset, self.drift)
