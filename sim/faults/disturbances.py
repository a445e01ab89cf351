"""Partial failures of members: slow cores, pauses, wrong clocks; at given times, or at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.faults.fault import Fault, Pairs, Play, Scene, World, begin, within
from sim.faults.lasting import PAUSED, SLOW_CORES, wrong_clock
from sim.faults.when import When
from sim.kernel import BranchingStream, Stream
from sim.network.disturbances import Disturbance
from sim.settings import Drift, Positive, Rate, Seconds, Wait

__all__ = ["ClockJump", "Pause", "RandomDisturbances", "RandomPauses", "Slow"]


@dataclass(frozen=True)
class Slow(Fault):
    """A grey failure: the cores of ``target`` run at ``speed`` (1 is normal).

    From ``at`` (seconds, or a trigger) for ``duration`` seconds (None: until the end of the run).
    """

    target: str
    at: When
    duration: Wait | None = None
    speed: Positive = 0.1

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        for name in found:
            world.record(name, "slow", {"speed": self.speed})
            SLOW_CORES.begin(world, name, self.speed)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            for name in found:
                if SLOW_CORES.end(world, name, self.speed):
                    world.record(name, "steady", {})


@dataclass(frozen=True)
class Pause(Fault):
    """The process of ``target`` is paused for ``duration`` seconds, as by SIGSTOP or garbage collection.

    ``at``: seconds, or a trigger. None of its code runs; its clocks continue. After the pause its timers fire late,
    before it handles the messages that arrived during the pause.
    """

    target: str
    at: When
    duration: Seconds

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        for name in found:
            PAUSED.begin(world, name)
        yield world.env.timeout(self.duration)
        for name in found:
            PAUSED.end(world, name)


@dataclass(frozen=True)
class RandomPauses(Fault):
    """Members pause at random: exponential times with mean ``every`` between pauses of mean ``length`` (seconds).

    ``members``: names of members or regions; empty: all replicas. No pause begins before ``start`` or after ``end``.
    """

    every: Seconds
    length: Seconds
    members: tuple[str, ...] = ()
    start: Wait = 0.0
    end: Wait | None = None

    def __post_init__(self) -> None:
        within("RandomPauses", self.start, self.end)

    def targets(self) -> tuple[str, ...]:
        return self.members

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield world.env.timeout(self.start)
        for name in (yield from Scene(world, stream).find_all(self.members)) or world.replicas:
            world.env.process(self._member(world, name, stream.branch(name)))

    def _member(self, world: World, name: str, stream: Stream) -> Play:
        end = float("inf") if self.end is None else self.end
        while True:
            yield world.env.timeout(stream.exponential(self.every))
            length = stream.exponential(self.length)
            if world.env.now >= end:
                return
            PAUSED.begin(world, name)
            yield world.env.timeout(min(length, end - world.env.now))
            PAUSED.end(world, name)


@dataclass(frozen=True)
class ClockJump(Fault):
    """At ``at`` (seconds, or a trigger) the wall clock of ``target`` jumps to ``offset`` seconds ahead of true time,
    and both its clocks begin to drift by ``drift``.

    Monotonic clocks drift, but never jump. None: no change of the offset, or of the drift.
    """

    target: str
    at: When
    offset: float | None = None
    drift: Rate | None = None

    def __post_init__(self) -> None:
        if self.offset is None and self.drift is None:
            raise ValueError("ClockJump: an offset or a drift is needed, not None and None")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        for name in (yield from scene.find(self.target)):
            world.record(name, "clock", {"offset": self.offset, "drift": self.drift})
            world.set_clock(name, self.offset, self.drift)


@dataclass(frozen=True)
class RandomDisturbances(Fault):
    """Members are disturbed at random: none for a mean of ``mttf`` seconds, then one for a mean of ``mttr`` seconds.

    Each time the member and its disturbance are drawn: *flaky* links (slow, lossy, or dead in one direction, so that
    the member receives nothing or sends nothing), *slow* cores, a *pause*, or a wrong *clock*.

    Parameters
    ----------
    max_clock_drift:
        Rates of clocks stay between ``1 - max_clock_drift`` and ``1 + max_clock_drift``; 0: the rates are exact; None:
        clocks run up to 50 % too fast or too slow.
    wall_clocks_jump:
        Whether wall clocks also jump, by up to two seconds.
    start, end:
        No disturbance before ``start`` or after ``end`` (seconds; None: until the end of the run).
    """

    mttf: Seconds
    mttr: Seconds
    max_clock_drift: Drift | None = 0.0
    wall_clocks_jump: bool = False
    start: Wait = 0.0
    end: Wait | None = None

    def __post_init__(self) -> None:
        within("RandomDisturbances", self.start, self.end)

    def play(self, world: World, stream: BranchingStream) -> Play:
        end = float("inf") if self.end is None else self.end
        clocks_are_right = self.max_clock_drift == 0 and not self.wall_clocks_jump
        ailments = [self._flaky, self._slow, self._pause] + ([] if clocks_are_right else [self._clock])
        yield world.env.timeout(self.start)
        while True:
            yield world.env.timeout(stream.exponential(self.mttf))
            pause = stream.exponential(self.mttr)
            if world.env.now >= end:
                return
            recover = stream.choice(ailments)(world, stream.choice(world.replicas), stream)
            yield world.env.timeout(min(pause, end - world.env.now))
            recover()

    @staticmethod
    def _flaky(world: World, name: str, stream: Stream) -> Callable[[], None]:
        others = [n for n in world.everyone() if n != name]
        outwards: Pairs = [(name, n) for n in others]
        inwards: Pairs = [(n, name) for n in others]
        pairs = stream.choice((inwards, outwards, inwards + outwards))
        slowdown, loss = stream.choice(((20.0, 0.0), (1.0, 0.5), (5.0, 0.2), (1.0, 1.0)))
        disturbance = Disturbance(slowdown=slowdown, loss=loss)
        world.record(name, "flaky", {"slowdown": slowdown, "loss": loss, "links": len(pairs)})
        world.disturb(pairs, disturbance)

        def recover() -> None:
            world.relieve(pairs, disturbance)
            world.record(name, "steady", {})

        return recover

    @staticmethod
    def _slow(world: World, name: str, stream: Stream) -> Callable[[], None]:
        speed = stream.choice((0.1, 0.01, 0.001))
        world.record(name, "slow", {"speed": speed})
        SLOW_CORES.begin(world, name, speed)

        def recover() -> None:
            if SLOW_CORES.end(world, name, speed):
                world.record(name, "steady", {})

        return recover

    @staticmethod
    def _pause(world: World, name: str, stream: Stream) -> Callable[[], None]:
        PAUSED.begin(world, name)

        def recover() -> None:
            PAUSED.end(world, name)

        return recover

    def _clock(self, world: World, name: str, stream: Stream) -> Callable[[], None]:
        most = 0.5 if self.max_clock_drift is None else self.max_clock_drift
        drift = stream.uniform(-most, most)
        offset = stream.uniform(-2.0, 2.0) if self.wall_clocks_jump else None
        clock = wrong_clock(self.wall_clocks_jump)  # setting the clock right is a jump, too
        world.record(name, "clock", {"offset": offset, "drift": drift})
        clock.begin(world, name, (offset, drift))

        def recover() -> None:
            if clock.end(world, name, (offset, drift)):
                world.record(name, "clock", dict(zip(("offset", "drift"), clock.usual, strict=True)))

        return recover
