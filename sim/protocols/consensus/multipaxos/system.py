"""Multi-Paxos as a system: size, quorums, options, leader, invariants. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from sim.invariants import Stored, once, pause_between, promises
from sim.node import Node
from sim.protocols.consensus.client_ghost import commands_of
from sim.protocols.consensus.commit_latency import OfSlots, RecordsCommits
from sim.protocols.consensus.multipaxos.invariants import MultiPaxosSafety
from sim.protocols.consensus.multipaxos.messages import Accept, Accepted, Granted, Prepare, Promise
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.multipaxos.options import FullMultiPaxosNode
from sim.protocols.quorum_measures import most_gone
from sim.protocols.quorums import QuorumSystem, QuorumTest, as_quorums, refuse_disjoint
from sim.protocols.system import LedSystem, StateMachineSystem, newest
from sim.settings import Count, Drift, Seconds, Wait, Whole
from sim.system import Invariant, positions

__all__ = ["MultiPaxos"]


@dataclass(frozen=True, kw_only=True)
class MultiPaxos(LedSystem, StateMachineSystem, RecordsCommits):
    """Multi-Paxos with a stable leader.

    Parameters
    ----------
    nodes:
        The number of replicas.
    leader:
        The member that campaigns at once; None: the first.
    phase1, phase2:
        Quorums of acceptors: a `QuorumSystem`, a count, or None for majorities. Every quorum of phase 1 must
        intersect every quorum of phase 2.
    lease:
        Seconds for which acceptors answer only the leader, so that it can read without a slot. None: reads go through
        the log. It must be longer than a heartbeat and, with the drift, not longer than the detection timeout.
    drift:
        Clocks have rates between ``1 - drift`` and ``1 + drift``; leases rely on this.
    window:
        The largest number of slots that are proposed and not yet chosen; None: any number.
    batch, linger:
        A slot has up to ``batch`` commands: those that wait for the window, or that arrive within ``linger`` seconds.
    thrifty:
        The leader sends a proposal only to the acceptors of one quorum of phase 2; to the others when that quorum does
        not answer within two to three heartbeats. An acceptor that was not asked learns commands a heartbeat late.
    snapshot_every, retain:
        A snapshot is taken every ``snapshot_every`` slots, and the log before its last ``retain`` slots (None:
        ``snapshot_every``) is deleted. ``snapshot_every=None``: the whole log is kept.
    record_commits:
        See `RecordsCommits`.

    Raises ValueError for settings that cannot work, such as quorums that do not intersect (unless ``unsafe``).
    """

    title: ClassVar[str] = "Multi-Paxos"

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            **LedSystem.safe_options,
            "nodes": (5, 3),
            "phase1": (None, None, 4),
            "phase2": (None, 2),
            "lease": (None, None, 0.2),
            "window": (None, 1, 4),
            "batch": (1, 4),
            "linger": (0.0, 0.01),
            "thrifty": (False, True),
            "snapshot_every": (None, 5, 30),
            "retain": (None, 0),
        }
    )

    nodes: Count = 5
    phase1: QuorumSystem | int | None = None
    phase2: QuorumSystem | int | None = None
    lease: Seconds | None = None
    drift: Drift = 0.0
    window: Count | None = None
    batch: Count = 1
    linger: Wait = 0.0
    thrifty: bool = False
    snapshot_every: Count | None = None
    retain: Whole | None = None

    consistency = "linearizable"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_disjoint(self, ("phase1", "phase2"), ("phase-1", "phase-2"), self.names)
        self._check_options()

    def _check_options(self) -> None:
        name = type(self).__name__
        if self.batch > 1 and not self.linger and self.window is None:
            raise ValueError(f"{name}: batch={self.batch} never fills without a window or a linger time")
        if self.linger and self.batch == 1:
            raise ValueError(f"{name}: linger={self.linger} waits for company, but batch=1 allows none")
        if self.retain is not None and self.snapshot_every is None:
            raise ValueError(f"{name}: retain={self.retain} needs snapshot_every")
        if self.lease is not None:
            _check_lease(self, self.lease)

    @property
    def retained(self) -> int:
        """The number of slots before a snapshot that are kept for replicas that lag a little."""
        return (self.snapshot_every or 0) if self.retain is None else self.retain

    @property
    def usable_lease(self) -> float:
        """Seconds on the leader's clock for which a lease certainly holds, counted from its request."""
        return (self.lease or 0.0) * (1 - self.drift) / (1 + self.drift)

    @property
    def max_clock_drift(self) -> float | None:
        """With leases: ``drift``. Without leases, time is used only for timeouts: None."""
        return self.drift if self.lease is not None else None

    def phase1_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 1."""
        return as_quorums(self.phase1).over(self.names)

    def phase2_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 2."""
        return as_quorums(self.phase2).over(self.names)

    @property
    def max_gone(self) -> int:
        """As many as leave a quorum of each phase, whichever they are."""
        return most_gone(self.names, self.phase1, self.phase2)

    @property
    def replica_class(self) -> type[Node]:
        options = any((self.lease, self.window, self.batch > 1, self.thrifty, self.snapshot_every))
        return self.measured(FullMultiPaxosNode if options else MultiPaxosNode, OfSlots)

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The live leader of the highest ballot."""
        return newest(nodes, MultiPaxosNode, lambda n: n.role == "leader", lambda n: n.ballot)

    def invariants(self) -> Iterable[Invariant]:
        safety = MultiPaxosSafety(
            is_phase1_quorum=self.phase1_test(),
            is_phase2_quorum=self.phase2_test(),
            leases=self.lease is not None,
            application=self.application,
        )
        if self.lease is None:
            bound: tuple[Invariant, ...] = ()
        else:  # who has granted a lease promises nothing to another candidate, whether it restarts or not
            bound = (pause_between(Granted, Promise, seconds=self.lease, to_others=True, drift=self.drift),)
        return (
            safety,
            *bound,
            promises(Promise, keeps="promised", shown=lambda stored, m, _: stored("promised") >= m.ballot),
            promises(Accepted, keeps="votes", shown=_voted),
            once(Prepare, per="ballot", value=("src", "incarnation")),
            once(Accept, per=("ballot", "slot"), value="command"),
        )

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """The number of slots that each replica has applied."""
        return positions(nodes, MultiPaxosNode, "applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """The number of acknowledged writes that the most advanced replica has not applied and no live one accepted."""
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


def _voted(stored: Stored, accepted: Accepted, leader: str) -> bool:
    """Whether the acceptor's disk has this vote, a later one in that slot, or a snapshot that covers the slot."""
    vote = stored("votes").get(accepted.slot)
    if vote is None:  # a node without snapshots compacts nothing
        return hasattr(stored.node, "compacted") and accepted.slot <= stored("compacted")
    return bool(vote.ballot >= accepted.ballot)


def _check_lease(system: MultiPaxos, lease: float) -> None:
    """Raise ValueError for a lease that no leader could hold, or that outlasts the detection timeout."""
    name = type(system).__name__
    if system.unsafe:
        return
    if system.heartbeat is not None and system.usable_lease <= system.heartbeat:
        raise ValueError(
            f"{name}: a lease of {lease} s, {system.usable_lease:g} s of it usable under a drift of "
            f"{system.drift}, ends before it is renewed by a heartbeat every {system.heartbeat} s"
        )
    longest = lease * (1 + system.drift) / (1 - system.drift)
    if system.detection is not None and longest > system.detection:
        raise ValueError(
            f"{name}: a lease of {lease} s, {longest:g} s under a drift of {system.drift}, is longer than the "
            f"detection timeout of {system.detection} s"
        )
