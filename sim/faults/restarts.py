"""Faults that take members down one after the other, all at once, or again and again; faults that come again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.outage import Outage
from sim.faults.when import Trigger, When
from sim.kernel import BranchingStream
from sim.settings import Seconds, Several, Wait

__all__ = ["PowerFailure", "Repeated", "RollingRestart"]


@dataclass(frozen=True)
class PowerFailure(Fault):
    """All members in ``target`` (default: all) lose power at the same instant: ``at``, seconds or a trigger.

    A write that is not synced at that instant is lost; after a `Crash`, some of them may survive. At a write
    (``at=OnWrite(nth=100)``) the power fails between the write and its sync. ``target``: a region, a machine, a member.
    ``down``: seconds until the power is back and the members restart (None: never).
    """

    at: When
    target: str = "all"
    down: Wait | None = None

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        victims, outage = (yield from scene.find(self.target)), Outage(world)
        for name in victims:
            outage.begin(name, power=True)
        if self.down is not None:
            yield world.env.timeout(self.down)
            for name in victims:
                outage.end(name)


@dataclass(frozen=True)
class RollingRestart(Fault):
    """Members restart one after the other, as when a new version is rolled out.

    From ``at`` (seconds, or a trigger): each member is down for ``down`` seconds, and then ``pause`` seconds pass
    before the next one goes down. ``members``: names of members or regions, in this order; empty: all.
    """

    at: When
    down: Wait = 0.1
    pause: Wait = 0.5
    members: tuple[str, ...] = ()

    def targets(self) -> tuple[str, ...]:
        return self.members

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        outage = Outage(world)
        for name in (yield from scene.find_all(self.members or ("all",))):
            if world.is_up(name):
                outage.begin(name)
                yield world.env.timeout(self.down)
                outage.end(name)
                yield world.env.timeout(self.pause)


@dataclass(frozen=True)
class Repeated(Fault):
    """A fault that comes again: a link that flaps, a member in a restart loop.

    ``fault`` begins at its ``at``; when it has ended it begins again after ``pause`` seconds, ``count`` times in all.
    Its target is found each time: with ``"leader"``, it may be another member. A fault that has no end is refused.
    """

    fault: Fault
    count: Several
    pause: Seconds

    def __post_init__(self) -> None:
        lasting = {getattr(self.fault, name, 0.0) for name in ("duration", "down", "end")}
        if not hasattr(self.fault, "at") or None in lasting:
            raise ValueError(
                f"Repeated: {self.fault!r} has no end, or no time at; give it both: a duration, or a time down"
            )

    @property
    def begins(self) -> float:
        return self.fault.begins

    def targets(self) -> tuple[str, ...]:
        return self.fault.targets()

    def requests(self) -> tuple[Any, ...]:
        return self.fault.requests()

    def message_kinds(self) -> tuple[str, ...]:
        return self.fault.message_kinds()

    def triggers(self) -> tuple[Trigger, ...]:
        return self.fault.triggers()

    def parts(self) -> tuple[Fault, ...]:
        return self.fault.parts()

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield from self.fault.play(world, stream.branch("0"))
        changes: dict[str, Any] = {"at": 0.0}
        again: Any = dataclasses.replace(self.fault, **changes)
        for number in range(1, self.count):
            yield world.env.timeout(self.pause)
            yield from again.play(world, stream.branch(str(number)))
