"""Faults of disks: slow, stalled, full, a write that fails, a record that is damaged.

A disk that is lost is ``Crash(wiped=True)``. All but the damage need disks whose syncs take time: a write that is
durable at once cannot be late and has not failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simpy.events import Event

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.lasting import FAILING_DISK, SLOW_DISK, STALLED_DISK
from sim.faults.outage import Outage
from sim.faults.when import When
from sim.kernel import BranchingStream, delay_until
from sim.settings import Positive, Seconds, Wait

__all__ = ["DamagedDisk", "FailedWrite", "FullDisk", "OfDisk", "SlowDisk", "StalledDisk"]

_JUST_AFTER = 1e-6  # seconds


@dataclass(frozen=True)
class OfDisk(Fault):
    """Base of the faults of the disks of ``target``. ``at``: seconds, or a trigger."""

    target: str
    at: When

    needs_slow_disks: ClassVar[bool] = True

    def targets(self) -> tuple[str, ...]:
        return (self.target,)


@dataclass(frozen=True)
class SlowDisk(OfDisk):
    """Syncs of ``target`` take ``factor`` times as long, from ``at`` (seconds, or a trigger) for ``duration`` seconds.

    ``duration`` None: until the end of the run.
    """

    duration: Wait | None = None
    factor: Positive = 10.0

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        for name in found:
            world.record(name, "disk slow", {"factor": self.factor})
            SLOW_DISK.begin(world, name, self.factor)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            for name in found:
                if SLOW_DISK.end(world, name, self.factor):
                    world.record(name, "disk well", {})


@dataclass(frozen=True)
class StalledDisk(OfDisk):
    """No sync of ``target`` ends, from ``at`` (seconds, or a trigger) for ``duration`` seconds. The process runs on."""

    duration: Seconds

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        for name in found:
            world.record(name, "disk stalled", {})
            STALLED_DISK.begin(world, name)
        yield world.env.timeout(self.duration)
        for name in found:
            if STALLED_DISK.end(world, name):
                world.record(name, "disk well", {})


@dataclass(frozen=True)
class FullDisk(OfDisk):
    """Every sync of ``target`` fails, from ``at`` (seconds, or a trigger) for ``duration`` seconds.

    The node crashes at the first that fails, as etcd does, and what it wrote is lost. At the end, it restarts.
    """

    duration: Seconds

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        for name in found:
            world.record(name, "disk full", {})
            FAILING_DISK.begin(world, name)
        outage, until = Outage(world), world.env.now + self.duration
        for name in found:
            _keep_down(world, name, outage, until)
        yield world.env.timeout(self.duration)
        for name in found:
            if FAILING_DISK.end(world, name):
                world.record(name, "disk well", {})
            outage.end(name)


@dataclass(frozen=True)
class FailedWrite(OfDisk):
    """The next sync of ``target`` after ``at`` (seconds, or a trigger) fails: the node crashes, and the write is lost.

    It restarts ``down`` seconds later (None: never).
    """

    down: Wait | None = None

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        for name in (yield from scene.find(self.target)):
            world.env.process(self._fail(world, name))

    def _fail(self, world: World, name: str) -> Play:
        FAILING_DISK.begin(world, name)
        yield world.disk_failure(name)
        outage = Outage(world)
        outage.take_over(name)
        # Not at the same instant: a recorded run ends the fault at a time, and the sync must not come second.
        failed = world.env.now
        yield world.env.timeout(_JUST_AFTER if self.down is None else min(_JUST_AFTER, self.down))
        FAILING_DISK.end(world, name)
        if self.down is not None:
            yield world.env.timeout(delay_until(world.env.now, failed + self.down))
            outage.end(name)


def _keep_down(world: World, name: str, outage: Outage, until: float) -> None:
    """Have an outage keep a node down from each sync that fails, until a time (seconds)."""

    def failed(_: Event) -> None:
        if world.env.now <= until:
            outage.take_over(name)
            listen()
        if world.env.now == until:  # the fault has just ended
            outage.end(name)

    def listen() -> None:
        callbacks = world.disk_failure(name).callbacks
        assert callbacks is not None  # that sync is yet to come
        callbacks.append(failed)

    listen()


@dataclass(frozen=True)
class DamagedDisk(OfDisk):
    """A record on the disk of ``target`` is damaged at ``at`` (seconds, or a trigger).

    Nothing happens until the node restarts. Then a checksum shows the damage, the record is absent (in a log, the later
    ones, too), and the node has the name of the field in `Node.disk_damaged`. The record is drawn from all that the
    disk holds then. It is not the last intact one of several copies (`System.copies_on_disk`).
    """

    needs_slow_disks: ClassVar[bool] = False

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        for name in (yield from scene.find(self.target)):
            world.record(name, "disk damaged", {})
            world.damage_disk(name, stream.branch(name).random())
