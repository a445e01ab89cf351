"""Faults of messages: links that are slow, late, narrow, lossy or garble messages; messages that are kept back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.partitions import between
from sim.faults.when import Trigger, When
from sim.kernel import BranchingStream
from sim.message import is_message
from sim.network.detention import Detention
from sim.network.disturbances import UNDISTURBED, Bandwidth, Disturbance
from sim.settings import Count, Positive, Share, Wait

__all__ = ["Flaky", "Hold"]


@dataclass(frozen=True)
class Flaky(Fault):
    """The links between ``target`` and all other nodes are disturbed, in both directions.

    From ``at`` (seconds, or a trigger) for ``duration`` seconds (None: until the end of the run).

    Parameters
    ----------
    slowdown:
        A factor on latencies.
    loss:
        The share of messages that are lost, besides those that the links lose anyway.
    delay:
        Seconds that each message takes longer.
    corrupted:
        The share of messages that arrive with a wrong checksum, so that the receiver drops them. Their fate in the
        frame ``messages`` is ``"corrupted"``; in the frame ``links`` they count as lost. A stream sends them again.
    bandwidth:
        Bytes per second of each of these links; None: no limit besides their own.
    """

    target: str
    at: When
    duration: Wait | None = None
    slowdown: Positive = 1.0
    loss: Share = 0.0
    delay: Wait = 0.0
    corrupted: Share = 0.0
    bandwidth: Bandwidth | None = None

    def __post_init__(self) -> None:
        if self._disturbance == UNDISTURBED:
            raise ValueError(
                "Flaky: a slowdown other than 1.0, or a loss, a delay, corrupted messages or a bandwidth is needed"
            )

    @property
    def _disturbance(self) -> Disturbance:
        return Disturbance(self.slowdown, self.delay, self.loss, self.corrupted, self.bandwidth)

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        found = yield from scene.find(self.target)
        pairs = between((found, tuple(n for n in world.everyone() if n not in found)))
        how = self._disturbance
        changed = {
            f.name: value
            for f in dataclasses.fields(how)
            if (value := getattr(how, f.name)) != getattr(UNDISTURBED, f.name)
        }
        world.record(",".join(found), "flaky", changed)
        world.disturb(pairs, how)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            world.relieve(pairs, how)
            world.record(",".join(found), "steady", {})


@dataclass(frozen=True)
class Hold(Fault):
    """Messages of one class that are sent from ``at`` on arrive only at ``until``: after an election, for example.

    Parameters
    ----------
    kind:
        The name of the message class, or the class itself; a message in an envelope counts, too.
    until:
        When they arrive: seconds, or a trigger. If it is never reached, they arrive when the faults end.
    at:
        Seconds, or a trigger.
    src, dst:
        Only messages from this target, or to this target; None: from anybody, or to anybody.
    count:
        How many messages at most; None: all. Over an ordered transport, later messages wait behind them. A crash of
        either end closes a stream, and destroys the messages that it kept.
    copies:
        The messages themselves arrive in time, and a copy of each at ``until``: a late duplicate. Ordered transports
        duplicate nothing, so nothing is copied over them.
    """

    kind: str
    until: When
    at: When = 0.0
    src: str | None = None
    dst: str | None = None
    count: Count | None = None
    copies: bool = False

    def _convert(self) -> None:
        given: Any = self.kind
        if isinstance(given, type) and is_message(given):
            self._keep(kind=given.__name__)

    def __post_init__(self) -> None:
        if not isinstance(self.at, Trigger) and not isinstance(self.until, Trigger) and self.until <= self.at:
            raise ValueError(f"Hold: until must be after at ({self.at!r} s), not {self.until!r}")

    def targets(self) -> tuple[str, ...]:
        return tuple(target for target in (self.src, self.dst) if target is not None)

    def message_kinds(self) -> tuple[str, ...]:
        return (self.kind,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        scene = yield from begin(world, self.at, stream)
        src = None if self.src is None else (yield from scene.find(self.src))
        dst = None if self.dst is None else (yield from scene.find(self.dst))
        detention = Detention(self.kind, src, dst, self.count, self.copies)
        detail: dict[str, Any] = {
            "kind": self.kind,
            "src": ",".join(src or ()),
            "dst": ",".join(dst or ()),
        }
        if self.copies:
            detail["copies"] = True
        world.record("", "hold", detail)
        world.detain(detention)
        if isinstance(self.until, Trigger):
            yield from begin(world, self.until, stream)
        else:
            yield world.env.timeout(max(0.0, self.until - world.env.now))
        world.record("", "release", {**detail, "messages": len(detention.held)})
        world.let_go(detention)
