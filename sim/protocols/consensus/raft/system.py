"""Raft as a system: its options select extensions of the thesis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from sim.node import Node
from sim.protocols.consensus.commit_latency import OfLog
from sim.protocols.consensus.raft.basic import BasicRaft
from sim.protocols.consensus.raft.extensions.damage import (
    COPIES,
    FEWEST_VOTERS,
    DamagedDisks,
    DamagedSnapshots,
    EnoughVoters,
)
from sim.protocols.consensus.raft.extensions.elections import (
    CheckQuorum,
    LeadershipTransfer,
    PreVoting,
    TimeoutRange,
)
from sim.protocols.consensus.raft.extensions.leaseguard import LeaseGuard
from sim.protocols.consensus.raft.extensions.membership import Membership
from sim.protocols.consensus.raft.extensions.reads import (
    FollowerReads,
    LeaseReads,
    NearestReader,
    ReadIndex,
    StaleReads,
)
from sim.protocols.consensus.raft.extensions.replication import Batching, FastBacktracking, Pipelining
from sim.protocols.consensus.raft.extensions.snapshots import Snapshots
from sim.protocols.consensus.raft.node import RaftNode
from sim.protocols.system import names
from sim.settings import Bounds, Count, Drift, Seconds, Wait, Whole
from sim.system import Invariant, Member

__all__ = ["MembershipChange", "Raft", "Reads", "raft_node"]

MembershipChange = Literal["single", "joint"]
"""The method of membership changes."""

Reads = Literal["log", "index", "lease", "leaseguard", "follower", "stale"]
"""The method by which reads are served."""


def raft_node(extensions: tuple[type[RaftNode], ...]) -> type[RaftNode]:
    """The node class with these extensions, the outermost first. Without extensions: `RaftNode` (figure 2)."""
    return _composed(extensions) if extensions else RaftNode


@cache
def _composed(extensions: tuple[type[RaftNode], ...]) -> type[RaftNode]:
    return type("RaftNode", extensions, {"__doc__": "Raft with extensions.", "__module__": __name__})


@dataclass(frozen=True, kw_only=True)
class Raft(BasicRaft):
    """Raft with selected extensions of the thesis. Without options it is the Raft of figure 2.

    Parameters
    ----------
    timeout_spread:
        Election timeouts are uniform in ``[detection, timeout_spread * detection)`` (>= 1; 9.3).
    pre_vote:
        Before a campaign, a server asks the others whether it could win (9.6).
    check_quorum:
        A leader that receives no replies from a majority steps down (6.2). A server that receives messages from a
        leader does not vote for another server (4.2.3).
    fast_backtracking:
        A rejection of AppendEntries names the conflicting term (5.3 of the paper).
    snapshot_every:
        Entries (>= 1) after which a server takes a snapshot and compacts its log; None: never (chapter 5).
    transfer:
        Serve `Transfer` and `Drain`: a leader transfers leadership to another server (3.10).
    batch, batch_wait:
        Replicate up to ``batch`` commands together if they arrive within ``batch_wait`` seconds (10.2.2).
    pipeline:
        Send each entry once, with at most this many AppendEntries in flight per follower (>= 1; 10.2.1). None: as in
        figure 2, each AppendEntries carries all entries that are not acknowledged. Works best on ordered transports.
    reads:
        ``"log"``: reads go through the log like writes. ``"index"``: the leader confirms its leadership by a round of
        heartbeats instead (6.4). ``"lease"``: no messages while the leader holds a lease (6.4.1). ``"leaseguard"``: no
        messages while the newest committed entry is young (Davis et al., SIGMOD 2026). ``"follower"``: at
        the nearest server, which asks the leader for the read index (6.4). ``"stale"``: at the nearest server, from
        its state, without a claim to consistency.
    lease, clock_drift:
        Seconds of a lease; None: the longest safe one, ``detection * (1 - d) / (1 + d)``, if no clock gains or
        loses more than the fraction ``d = clock_drift``. A longer lease is refused unless ``unsafe``. With
        ``"leaseguard"``: seconds from the creation of an entry, of any length; None: ``detection``.
    clock_error, deferred_commit, inherited_reads:
        Of ``"leaseguard"``: the most seconds by which a wall clock errs; whether a new leader accepts writes before the
        old lease is over; whether it answers reads under the old lease.
    membership, spares:
        Serve `Join`, `Leave` and `Reconfigure`: one server at a time (``"single"``, 4.1), or any set by
        ``"joint"`` consensus (section 6 of the paper). ``spares`` further servers are off until they join;
        the ``nodes`` servers are members from the start. None: membership is fixed.
    damage:
        Records on the disk of a server may be damaged after they were synced: a server that has lost a part of its log
        helps to elect no leader until it has that part again (Alagappan et al., FAST 2018). It needs three servers.
    """

    administration_options: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **dict.fromkeys(("Transfer", "Drain"), "transfer=True"),
            **dict.fromkeys(("Join", "Leave", "Reconfigure"), "membership='single' or 'joint'"),
        }
    )

    product_table: ClassVar[str] = "sim.protocols.consensus.raft.products"

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            **BasicRaft.safe_options,
            **dict.fromkeys(("pre_vote", "check_quorum", "fast_backtracking", "transfer"), (False, True)),
            "snapshot_every": (None, 5, 30),
            "batch": (1, 4),
            "pipeline": (None, 1, 4),
            "timeout_spread": (2.0, 2.0, 1.5),
            "reads": ("log", "index", "follower", "lease", "leaseguard"),
            "clock_drift": (0.0, 0.1),
            "deferred_commit": (True, False),
            "inherited_reads": (True, False),
            "membership": (None, None, "single", "joint"),
            "spares": (0, 2),
            "damage": (False, False, False, True),
        }
    )

    timeout_spread: Annotated[float, Bounds("at least 1", least=1)] = 2.0
    pre_vote: bool = False
    check_quorum: bool = False
    fast_backtracking: bool = False
    snapshot_every: Count | None = None
    transfer: bool = False
    batch: Count = 1
    batch_wait: Wait = 0.0
    pipeline: Count | None = None
    reads: Reads = "log"
    lease: Seconds | None = None
    clock_drift: Drift = 0.0
    clock_error: Wait = 0.0
    deferred_commit: bool = True
    inherited_reads: bool = True
    membership: MembershipChange | None = None
    spares: Whole = 0
    damage: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_wait > 0 and self.batch == 1:
            raise ValueError(f"Raft: batch_wait is {self.batch_wait!r} s, but a batch is one command")
        self._check_reads()
        if self.spares and self.membership is None:
            raise ValueError(f"Raft: {self.spares!r} spares cannot join while membership is fixed")
        if self.damage and self.nodes < FEWEST_VOTERS and not self.unsafe:
            raise ValueError(
                f"Raft: damage=True needs at least {FEWEST_VOTERS} nodes, not {self.nodes!r}: "
                "without the server that is damaged, no majority is left"
            )

    def _check_reads(self) -> None:
        if self.reads == "leaseguard":
            self._check_lease_guard()
            return
        for field, usual in (("clock_error", 0.0), ("deferred_commit", True), ("inherited_reads", True)):
            if getattr(self, field) != usual:
                raise ValueError(
                    f"Raft: {field} is {getattr(self, field)!r}, but reads are {self.reads!r}: "
                    "it needs reads='leaseguard'"
                )
        if self.lease is None:
            return
        if self.reads != "lease":
            raise ValueError(f"Raft: lease is {self.lease!r} s, but reads are {self.reads!r}")
        known = self.detection is not None or self.heartbeat is not None
        if known and self.lease > self.longest_lease and not self.unsafe:
            raise ValueError(
                f"Raft: lease must be at most {self.longest_lease:g} s with an election timeout of "
                f"{self.detection_timeout:g} s and a clock drift of {self.clock_drift:g}, not {self.lease!r} s"
            )

    def _check_lease_guard(self) -> None:
        if self.clock_drift:
            raise ValueError(
                f"Raft: clock_drift is {self.clock_drift!r}, but reads are 'leaseguard': give clock_error, in seconds"
            )
        known = self.lease is not None or self.detection is not None or self.heartbeat is not None
        if known and self.lease_duration <= 2 * self.clock_error:
            raise ValueError(
                f"Raft: a lease of {self.lease_duration:g} s is over before any clock is sure that it has begun: "
                f"it must be longer than twice clock_error, which is {self.clock_error!r} s"
            )

    @property
    def longest_lease(self) -> float:
        """The longest lease (s) that expires before the election timeout of any voter (6.4.1)."""
        return self.detection_timeout * (1 - self.clock_drift) / (1 + self.clock_drift)

    @property
    def lease_duration(self) -> float:
        """Seconds of a lease, counted from the sending of its round of heartbeats, or the creation of its entry."""
        if self.lease is not None:
            return self.lease
        return self.detection_timeout if self.reads == "leaseguard" else self.longest_lease

    @property
    def max_clock_drift(self) -> float | None:
        """Leases assume clock rates within ``clock_drift`` of 1. Without leases, time is used for timeouts only."""
        return self.clock_drift if self.reads in ("lease", "leaseguard") else None

    @property
    def wall_clock_may_jump(self) -> bool:
        """No with ``"leaseguard"``: the time in an entry is compared with other servers' wall clocks."""
        return self.reads != "leaseguard"

    @property
    def max_gone(self) -> int:
        """A minority, if the members are those of the start for ever; one fewer if a disk may be damaged."""
        most = super().max_gone if self.membership is None else 0
        return max(0, most - 1) if self.damage else most

    @property
    def disks_may_be_damaged(self) -> bool:
        """With ``damage``."""
        return self.damage

    @property
    def copies_on_disk(self) -> tuple[tuple[str, ...], ...]:
        """With ``damage``: term and vote, twice."""
        return COPIES if self.damage else ()

    def has_recovered(self, node: Node) -> bool:
        """Whether a server may vote: it does not lack entries that it has acknowledged."""
        return not getattr(node, "recovering", False)

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The members that recover from damage."""
        if not self.damage:
            return ()
        return tuple(name for name in self.progress(nodes) if not self.has_recovered(nodes[name]))

    @property
    def client_class(self) -> type[Node]:
        """Clients that follow redirects to the leader, and read at the nearest server if ``reads`` allows it."""
        return NearestReader if self.reads in ("follower", "stale") else super().client_class

    @property
    def consistency(self) -> str | None:
        """Linearizable, unless reads are stale."""
        return None if self.reads == "stale" else super().consistency

    @property
    def extensions(self) -> tuple[type[RaftNode], ...]:
        """The extensions that are on, the outermost first."""
        wanted: tuple[tuple[Any, type[RaftNode]], ...] = (
            (self.damage, DamagedDisks if self.snapshot_every is None else DamagedSnapshots),
            (self.damage and self.membership is not None, EnoughVoters),
            (self.check_quorum, CheckQuorum),
            (self.reads == "stale", StaleReads),
            (self.reads == "follower", FollowerReads),
            (self.reads == "index", ReadIndex),
            (self.reads == "lease", LeaseReads),
            (self.reads == "leaseguard", LeaseGuard),
            (self.transfer, LeadershipTransfer),
            (
                self.batch > 1,
                Batching,
            ),  # outside of extensions that rely on the index that an entry will have
            (self.membership is not None, Membership),
            (self.snapshot_every is not None, Snapshots),
            (self.pipeline is not None, Pipelining),
            (self.fast_backtracking, FastBacktracking),
            (self.pre_vote, PreVoting),
            (self.timeout_spread != 2.0, TimeoutRange),
        )
        return tuple(extension for on, extension in wanted if on)

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(raft_node(self.extensions), OfLog)

    def members(self) -> tuple[Member, ...]:
        """The servers, and the spares."""
        spares = names(f"{self.prefix}n", self.nodes + self.spares)[self.nodes :]
        return (*super().members(), *(Member(name, self.replica_class, off=True) for name in spares))

    def contacts(self) -> tuple[str, ...]:
        """The servers that clients may contact. Spares too: after membership changes, all members may be spares."""
        return tuple(member.name for member in self.members())

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many entries each server of the leader's configuration has applied."""
        applied = super().progress(nodes)
        leader = self.holder("leader", nodes)
        config = getattr(nodes[leader], "config", None) if leader is not None else None
        return applied if config is None else {n: at for n, at in applied.items() if n in config.everyone}

    def invariants(self) -> Iterable[Invariant]:
        """The invariants of figure 2, and those of the extensions."""
        from sim.protocols.consensus.raft.invariants.extensions import thesis_invariants

        return thesis_invariants(self)
