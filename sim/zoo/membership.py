"""Mistakes of failure detectors and membership."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from sim.node import Part
from sim.protocols.membership.heartbeats import HeartbeatDetector, HeartbeatDetectors
from sim.protocols.membership.swim.invariants import Update
from sim.protocols.membership.swim.node import Swim, SwimNode
from sim.zoo.bug import Mutated, bug

__all__ = ["FD1", "FD2"]


class KeepsOldIncarnation(SwimNode):
    """What does not override is dropped together with its incarnation."""

    def hear(self, update: Update) -> None:
        known = self.known.get(update.member)
        super().hear(update)
        after = self.known.get(update.member)
        if known is not None and after is not None and after.status == known.status == "dead":
            self.known[update.member] = known


@bug("safety", happened="al8n/memberlist#197; hashicorp/memberlist has the same hole")
@dataclass(frozen=True, kw_only=True)
class FD1(Mutated, Swim):
    """A second report that a dead member is dead, of a higher incarnation, does not raise the incarnation on record."""

    mutated_nodes = (KeepsOldIncarnation,)


class JudgesAfterItsPause(HeartbeatDetector):
    """An observer does not notice that it was paused itself."""

    def _check_punctuality(self, due: float) -> bool:
        return True


@bug("accuracy", happened="Cassandra's guard against local pauses (documentation of its failure detector)")
@dataclass(frozen=True, kw_only=True)
class FD2(Mutated, HeartbeatDetectors):
    """An observer that was paused suspects all others, because it has heard nothing from them meanwhile."""

    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"detector": JudgesAfterItsPause})
