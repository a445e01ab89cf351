"""ABD as a system: settings, servers, clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.invariants import promises
from sim.node import Node
from sim.protocols.quorum_measures import most_gone
from sim.protocols.quorum_plans import QuorumPlan
from sim.protocols.quorums import Explicit, QuorumSystem, as_quorums, refuse_disjoint
from sim.protocols.replication.abd.client import AbdClient, OnePhaseClient
from sim.protocols.replication.abd.invariants import AbdAtomic, AbdSafety
from sim.protocols.replication.abd.messages import StoreAck
from sim.protocols.replication.abd.nearest import NearestValueClient, OnePhaseNearestValueClient
from sim.protocols.replication.abd.node import AbdServer
from sim.protocols.system import KEEPS_REGISTERS, ReplicatedSystem
from sim.system import Invariant

__all__ = ["Abd"]


@dataclass(frozen=True, kw_only=True)
class Abd(ReplicatedSystem):
    """Linearizable registers on ``nodes`` servers.

    Parameters
    ----------
    nodes:
        How many servers (>= 1), named n0, n1, ...
    reads, writes:
        Quorum systems of the two phases (see `sim.protocols.quorums`), or numbers of servers; None: majorities. Every
        read quorum must intersect every write quorum; else ValueError, unless ``unsafe``.
    plan:
        Which quorum an operation asks at first, drawn by its probabilities; None: all servers. ValueError for a set in
        it that is no quorum.
    one_phase:
        Writes in one round, under the client's clock, and reads without a write-back: regular registers, not
        linearizable ones, for clients whose clocks agree.
    values:
        From which servers a read wants values: from ``"all"`` that it asks, or only from the ``"nearest"`` one, and
        timestamps from the others (Gifford 1979). A server without votes (of weight 0, or in no quorum) is then a *weak
        representative*: a copy for the clients to which it is the nearest. Their reads take its value if a read quorum
        says that it is current.
    """

    title: ClassVar[str] = "ABD"

    reads: QuorumSystem | int | None = None
    writes: QuorumSystem | int | None = None
    plan: QuorumPlan | None = None
    one_phase: bool = False
    values: Literal["all", "nearest"] = "all"

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (3, 5), "values": ("all", "nearest")}
    )
    node_class: ClassVar[type[Node]] = AbdServer
    no_application: ClassVar[str] = KEEPS_REGISTERS
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})

    def __post_init__(self) -> None:
        super().__post_init__()
        reads, writes = as_quorums(self.reads), as_quorums(self.writes)
        for system in (reads, writes):
            system.over(self.names)
        refuse_disjoint(self, ("reads", "writes"), ("read", "write"), self.names)
        if self.plan is not None:
            self._check_plan(self.plan)

    def _check_plan(self, plan: QuorumPlan) -> None:
        for kind in ("reads", "writes"):
            enough = as_quorums(getattr(self, kind)).over(self.names)
            for quorum, _ in getattr(plan, kind):
                Explicit((quorum,)).over(self.names)  # raises ValueError for a name that is no member
                if not enough(quorum):
                    raise ValueError(f"Abd: the plan's {', '.join(quorum)} is no quorum of {kind}")

    @property
    def client_class(self) -> type[Node]:
        if self.values == "nearest":
            return OnePhaseNearestValueClient if self.one_phase else NearestValueClient
        return OnePhaseClient if self.one_phase else AbdClient

    @cached_property
    def servers(self) -> tuple[str, ...]:
        """The servers that all operations may ask: all; if values come from the nearest, those with votes."""
        if self.values == "all":
            return self.names
        voters = {name for kind in (self.reads, self.writes) for name in as_quorums(kind).voters(self.names)}
        return tuple(name for name in self.names if name in voters)

    @property
    def max_clock_drift(self) -> float | None:
        """With one phase, the order of writes is that of clocks: 0. Else time is used only for timeouts: None."""
        return 0.0 if self.one_phase else None

    @property
    def wall_clock_may_jump(self) -> bool:
        """Not with one phase."""
        return not self.one_phase

    @property
    def max_gone(self) -> int:
        """As many as leave a quorum of reads and one of writes, whichever they are."""
        return most_gone(self.names, self.reads, self.writes)

    @property
    def consistency(self) -> str | None:
        if self.unsafe:
            return None
        return "regular" if self.one_phase else "linearizable"

    def progress(self, nodes: Mapping[str, Node]) -> None:
        """None: a server that was down may never receive a write; readers find it at another server of each quorum."""

    def invariants(self) -> Iterable[Invariant]:
        safety = AbdSafety()
        stored = promises(StoreAck, keeps="registers", shown=safety.is_stored)
        return (safety, stored) if self.unsafe or self.one_phase else (safety, stored, AbdAtomic())
