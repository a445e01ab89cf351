"""ABD as a system: settings, servers, clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sim.invariants import promises
from sim.node import Node
from sim.protocols.quorum_plans import QuorumPlan
from sim.protocols.quorums import Explicit, QuorumSystem, as_quorums, refuse_disjoint
from sim.protocols.replication.abd.client import AbdClient, OnePhaseClient
from sim.protocols.replication.abd.invariants import AbdAtomic, AbdSafety
from sim.protocols.replication.abd.messages import StoreAck
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
    """

    title: ClassVar[str] = "ABD"

    reads: QuorumSystem | int | None = None
    writes: QuorumSystem | int | None = None
    plan: QuorumPlan | None = None
    one_phase: bool = False

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
        return OnePhaseClient if self.one_phase else AbdClient

    @property
    def max_clock_drift(self) -> float | None:
        """With one phase, the order of writes is that of clocks: 0. Else time is used only for timeouts: None."""
        return 0.0 if self.one_phase else None

    @property
    def wall_clock_may_jump(self) -> bool:
        """Not with one phase."""
        return not self.one_phase

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
