"""Mistakes of multi-primary replication, replicated data types, and Dynamo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.node import Part
from sim.protocols.causality.hlc import HybridTime
from sim.protocols.replication.crdt.counters import GCounter
from sim.protocols.replication.crdt.system import Crdt, CrdtNode, Kind
from sim.protocols.replication.dynamo.coordinator import Coordinator
from sim.protocols.replication.dynamo.handoff import HintedHandoff
from sim.protocols.replication.dynamo.system import Dynamo
from sim.protocols.replication.multi_primary.node import MultiPrimary, MultiPrimaryNode
from sim.settings import Seconds
from sim.zoo.bug import Mutated, bug

__all__ = ["DY1", "DY2", "DY3", "MM1", "MM3", "MM4"]


class StampsByWallClock(MultiPrimaryNode):
    """A timestamp is what the wall clock says, whatever this replica has seen."""

    def read_clock(self) -> HybridTime:
        return HybridTime(self.now, 0)


@bug("anomaly", happened="Kingsbury, The trouble with timestamps (2013); a field report on Scylla (2025)")
@dataclass(frozen=True, kw_only=True)
class MM1(Mutated, MultiPrimary):
    """A write has the time of its replica's wall clock, so that a slow clock loses to what it has read."""

    mutated_nodes = (StampsByWallClock,)


class CountsEveryDelivery(CrdtNode):
    """An operation-based counter that adds what arrives, however often it arrives."""

    def absorb(self, key: str, delta: Any, src: str) -> None:
        if not isinstance(delta, GCounter):
            super().absorb(key, delta, src)
            return
        counts = dict(self.state_of(key).counts)
        for actor, n in delta.counts:
            counts[actor] = counts.get(actor, 0) + n
        self.states[key] = GCounter(tuple(sorted(counts.items())))


@bug("safety", happened="HarperFast/harper#1614")
@dataclass(frozen=True, kw_only=True)
class MM3(Mutated, Crdt):
    """A replica of a counter adds an increment each time that it is delivered."""

    kind: Kind = "g-counter"
    mutated_nodes = (CountsEveryDelivery,)


class CollectsByAge(MultiPrimaryNode):
    """A tombstone is forgotten after two seconds, although some replicas have not seen it."""

    def is_stable(self, version: Any) -> bool:
        return bool(self.now - version.time.l > 2.0)


@bug("safety", happened="smg-project/smg#1686; Dstack-TEE/dstack#1099")
@dataclass(frozen=True, kw_only=True)
class MM4(Mutated, MultiPrimary):
    """A replica forgets a tombstone by its age, so that a peer that was away brings the deleted value back."""

    mutated_nodes = (CollectsByAge,)


class CountsStandIns(Coordinator):
    """The answer of a stand-in counts like that of a home."""

    def counts(self, src: str, home: str) -> bool:
        return True


@bug("anomaly", happened="Dynamo (DeCandia et al., SOSP 2007); J. Downey (2012)")
@dataclass(frozen=True, kw_only=True)
class DY1(Mutated, Dynamo):
    """The acknowledgements of stand-ins count towards a quorum that is said to be strict."""

    nodes: int = 5
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"coordinator": CountsStandIns})


class AnswersBeforeRepair(Coordinator):
    """A read is answered while its repair is under way."""

    def answer_if_read(self, operation: Any) -> None:
        if operation.found and not operation.answered:
            self.answer(operation)


@bug("safety", happened="Cassandra's documentation of read_repair = BLOCKING")
@dataclass(frozen=True, kw_only=True)
class DY2(Mutated, Dynamo):
    """A read that repairs stale homes answers before they have acknowledged the repair."""

    repair: Literal["background", "blocking", "off"] = "blocking"
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"coordinator": AnswersBeforeRepair})


class KeepsHints(HintedHandoff):
    """A hint does not expire."""

    def is_expired(self, hint: Any) -> bool:
        return False


@bug("safety", happened="the Javadoc of Cassandra's Hint; basho/riak_kv#1094")
@dataclass(frozen=True, kw_only=True)
class DY3(Mutated, Dynamo):
    """A stand-in hands a hint over however old it is, after the tombstone of its key was purged."""

    nodes: int = 5
    hint_expiry: Seconds = 1.0
    grace: Seconds = 3.2
    sync_every: Seconds | None = 0.25
    handoff_every: Seconds = 0.25
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"handoff": KeepsHints})
