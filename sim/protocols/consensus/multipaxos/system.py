"""Multi-Paxos as a system: size, quorums and options, who leads, what must hold. The protocol is in `multipaxos`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.client import Client
from sim.protocols.consensus.client_ghost import commands_of
from sim.protocols.consensus.commit_latency import OfSlots, RecordsCommits
from sim.protocols.consensus.multipaxos.invariants import MultiPaxosSafety
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.multipaxos.options import FullMultiPaxosNode
from sim.protocols.consensus.settings import at_least, check_options, names, refuse_disjoint
from sim.protocols.quorums import QuorumSystem, QuorumTest, as_quorums
from sim.system import Invariant, Member, positions

__all__ = ["MultiPaxos"]


@dataclass(frozen=True, kw_only=True)
class MultiPaxos(RecordsCommits):
    """Multi-Paxos with a stable leader.

    Parameters
    ----------
    nodes:
        How many replicas.
    leader:
        The member that campaigns at once; None: the first.
    phase1, phase2:
        Quorums of acceptors: a `QuorumSystem`, a count, or None for majorities. Every quorum of phase 1 must
        meet every quorum of phase 2.
    lease:
        Seconds for which acceptors answer nobody but the leader, so that it reads without a slot; None: reads
        go through the log. Longer than a heartbeat, and, under the drift, no longer than the detection timeout.
    drift:
        Clocks run at rates between ``1 - drift`` and ``1 + drift``; what leases rely on.
    window:
        How many slots may be proposed and not yet chosen; None: any number.
    batch, linger:
        Up to ``batch`` commands that wait for the window share a slot, or that come within ``linger`` seconds.
    snapshot_every, retain:
        A snapshot is taken every so many slots, and the log before the last ``retain`` (None: as many as
        ``snapshot_every``) slots of it deleted; None: the log is kept whole.
    record_commits:
        See `RecordsCommits`.

    Raises ValueError for settings that cannot work, such as quorums that do not meet (unless ``unsafe``).
    """

    title: ClassVar[str] = "Multi-Paxos"

    nodes: int = 5
    leader: str | None = None
    phase1: QuorumSystem | int | None = None
    phase2: QuorumSystem | int | None = None
    lease: float | None = None
    drift: float = 0.0
    window: int | None = None
    batch: int = 1
    linger: float = 0.0
    snapshot_every: int | None = None
    retain: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(type(self).__name__, "nodes", self.nodes, 1)
        if self.leader is not None and self.leader not in self.names:
            raise ValueError(f"{type(self).__name__}: there is no member {self.leader!r} to lead")
        refuse_disjoint(self, self.phase1, self.phase2, self.names)
        check_options(self)

    @property
    def retained(self) -> int:
        """How many slots before a snapshot are kept for replicas that lag a little."""
        return (self.snapshot_every or 0) if self.retain is None else self.retain

    @property
    def usable_lease(self) -> float:
        """Seconds on the leader's clock for which a lease certainly holds, counted from its request."""
        return (self.lease or 0.0) * (1 - self.drift) / (1 + self.drift)

    @property
    def max_clock_drift(self) -> float | None:
        """Leases count on rates of clocks within ``drift``; without them, time is only for timeouts."""
        return self.drift if self.lease is not None else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the members."""
        return names("n", self.nodes)

    @property
    def first_leader(self) -> str:
        """Who campaigns at once."""
        return self.leader or self.names[0]

    @property
    def times(self) -> tuple[float, float]:
        """Heartbeat and detection timeout in seconds, where the scenario has not filled them in: 50 ms, ten."""
        heartbeat = self.heartbeat or 0.05
        return heartbeat, self.detection or 10 * heartbeat

    def phase1_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 1."""
        return as_quorums(self.phase1).over(self.names)

    def phase2_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 2."""
        return as_quorums(self.phase2).over(self.names)

    def members(self) -> tuple[Member, ...]:
        node_class: type[Node] = MultiPaxosNode
        if any((self.lease, self.window, self.batch > 1, self.snapshot_every)):
            node_class = FullMultiPaxosNode
        node_class = self.measured(node_class, OfSlots)
        return tuple(Member(name, node_class) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        return Client

    @property
    def consistency(self) -> str | None:
        return "linearizable"

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        if role not in self.leader_roles:
            return super().holder(role, nodes)
        leaders = [
            node for node in nodes.values() if isinstance(node, MultiPaxosNode) and node.role == "leader"
        ]
        return max(leaders, key=lambda node: node.ballot).name if leaders else None

    def invariants(self) -> Iterable[Invariant]:
        invariants = MultiPaxosSafety(
            is_phase1_quorum=self.phase1_test(),
            is_phase2_quorum=self.phase2_test(),
            leases=self.lease is not None,
        )
        return (invariants,)

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many slots each replica has executed."""
        return positions(nodes, MultiPaxosNode, "applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that neither the most advanced replica has applied nor any live one has accepted."""
        replicas = [node for node in nodes.values() if isinstance(node, MultiPaxosNode)]
        if not replicas:
            return None
        best = max(replicas, key=lambda node: node.applied)
        to_come = {
            (command.session, command.sequence)
            for node in replicas
            for slot, vote in node.votes.items()
            if slot > best.applied
            for command in commands_of(vote.command)
        }
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
