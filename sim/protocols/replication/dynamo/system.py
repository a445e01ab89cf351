"""Dynamo: a replicated store that is always writable; N, R and W determine its consistency.

DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store" (SOSP 2007); how stale partial quorums are:
Bailis et al., "Probabilistically Bounded Staleness for Practical Partial Quorums" (PVLDB 5(8), 2012).

Assumptions: a node keeps everything that it has acknowledged (on disk). If a consistency is claimed: clients' clocks
agree, and delays are above zero, so that a write called after another had returned has the greater timestamp.

Departures: the set of nodes is fixed, and there is no gossip of membership. Clients name their writes (see
`versions`); in the paper, coordinators do. ``stamps="coordinator"`` is as in the paper, and then a retried write may
take effect twice. Tombstones are purged when all homes have confirmed them (see `tombstones`); the paper does not
describe tombstones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.node import Node
from sim.protocols.kv import READS
from sim.protocols.quorum_measures import most_gone
from sim.protocols.quorums import QuorumSystem, QuorumTest, as_quorums, disjoint_pair
from sim.protocols.replication.dynamo.client import DynamoClient
from sim.protocols.replication.dynamo.convergence import Converged
from sim.protocols.replication.dynamo.coordinator import ROUNDS
from sim.protocols.replication.dynamo.invariants import DynamoSafety
from sim.protocols.replication.dynamo.replica import DynamoNode
from sim.protocols.replication.dynamo.versions import merged
from sim.protocols.rings import order_on_ring
from sim.protocols.system import KEEPS_REGISTERS, names
from sim.settings import Count, Seconds, Several, Whole
from sim.system import Invariant, Member, System

__all__ = ["Dynamo"]

_MOST_LEAVES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Dynamo(System):
    """A key-value store with N, R and W. All times are in seconds.

    Parameters
    ----------
    nodes:
        How many nodes store data (>= ``n``), named n0, n1, ... Keys are assigned to them by consistent hashing.
    n:
        Number of homes of each key: the first ``n`` distinct nodes on the ring after the key.
    r, w:
        How many homes must answer a read, and must have a write on disk: a number, or a quorum system over the
        preference list (see `sim.protocols.quorums`); None: a majority.
    sloppy:
        Whether stand-ins for homes that do not answer count towards ``r`` and ``w``.
    handoff:
        With strict quorums: whether stand-ins keep hints of writes (and do not count). Sloppy quorums always do.
    repair:
        Repair of stale homes that a read finds: ``"background"``; ``"blocking"``, before the reply; ``"off"``.
    versions:
        ``"lww"``: last writer wins, by timestamp. ``"siblings"``: version vectors; a read returns a tuple of all values
        that no write has replaced.
    stamps:
        The node that names writes: ``"client"``, or ``"coordinator"`` (last writer wins by the coordinators' clocks).
    coordinator:
        The node to which clients send: the ``"nearest"`` node, or the key's first ``"home"``.
    sync_every:
        Interval of a node's anti-entropy, with one other node at a time, in order. None: no anti-entropy.
    fanout, depth:
        Shape of the Merkle trees (see `merkle`).
    handoff_every, hint_expiry:
        Interval at which hints are offered to their homes, and the age at which they are dropped.
    grace:
        How long a tombstone is kept after all homes are known to have it. It must exceed ``hint_expiry`` by the time
        for which coordinators work on an operation (``longest_work``) and the longest delay of a message.
    points:
        Points of each node on the ring.
    proxies:
        Number of further nodes p0, p1, ... that coordinate and store nothing.

    A node that does not answer within ``detection`` is suspected, and probed every ``heartbeat``.

    Raises ValueError for settings that cannot work, and, unless ``unsafe``, if ``hint_expiry + longest_work`` is not
    below ``grace``: hints may then restore deleted values.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"repair": ("background", "blocking"), "coordinator": ("nearest", "home"), "proxies": (0, 0, 2)}
    )

    nodes: int = 3
    n: Count = 3
    r: QuorumSystem | int | None = None
    w: QuorumSystem | int | None = None
    sloppy: bool = False
    handoff: bool = True
    repair: Literal["background", "blocking", "off"] = "background"
    versions: Literal["lww", "siblings"] = "lww"
    stamps: Literal["client", "coordinator"] = "client"
    coordinator: Literal["nearest", "home"] = "nearest"
    sync_every: Seconds | None = 1.0
    fanout: Several = 4
    depth: Count = 4
    handoff_every: Seconds = 0.5
    hint_expiry: Seconds = 60.0
    grace: Seconds = 120.0
    points: Count = 32
    proxies: Whole = 0

    product_table: ClassVar[str] = "sim.protocols.replication.dynamo.products"
    no_application: ClassVar[str] = KEEPS_REGISTERS
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put", "delete"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nodes < self.n:
            raise ValueError(f"Dynamo: nodes must be an integer of at least {self.n}, not {self.nodes!r}")
        if self.fanout**self.depth > _MOST_LEAVES:
            raise ValueError(f"Dynamo: fanout={self.fanout} and depth={self.depth} make too many leaves")
        for field in ("r", "w"):
            try:
                as_quorums(getattr(self, field)).over(self.names[: self.n])
            except ValueError as error:
                raise ValueError(f"Dynamo: {field}={getattr(self, field)!r} of n={self.n}: {error}") from None
        if self.versions == "siblings" and self.stamps == "coordinator":
            raise ValueError("Dynamo: siblings carry what clients have seen; stamps='coordinator' has no use")
        if self.hints_outlive_tombstones and not self.unsafe:
            raise ValueError(
                f"Dynamo: hints that expire after {self.hint_expiry} s would bring back what was deleted and purged "
                f"after a grace period of {self.grace} s, as they may be made for {self.longest_work:g} s after a "
                "write has returned; unsafe=True runs it all the same"
            )

    # Placement of keys

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes that store data."""
        return names("n", self.nodes)

    def order(self, key: str) -> tuple[str, ...]:
        """All nodes that store data, in their order on the ring after a key."""
        return order_on_ring(self.names, self.points, key)

    def homes(self, key: str) -> tuple[str, ...]:
        """The preference list of a key."""
        return self.order(key)[: self.n]

    @property
    def max_gone(self) -> int:
        """As many as leave a quorum of reads and one of writes among the homes of a key, whichever they are."""
        return most_gone(self.names[: self.n], self.r, self.w)

    def is_read_quorum(self, homes: tuple[str, ...], answered: Collection[str]) -> bool:
        """Whether enough homes have answered a read."""
        return self._tests(homes)[0](answered)

    def is_write_quorum(self, homes: tuple[str, ...], answered: Collection[str]) -> bool:
        """Whether enough homes have a write on disk."""
        return self._tests(homes)[1](answered)

    def _tests(self, homes: tuple[str, ...]) -> tuple[QuorumTest, QuorumTest]:
        found = self._quorum_tests.get(homes)
        if found is None:
            found = (as_quorums(self.r).over(homes), as_quorums(self.w).over(homes))
            self._quorum_tests[homes] = found
        return found

    @cached_property
    def _quorum_tests(self) -> dict[tuple[str, ...], tuple[QuorumTest, QuorumTest]]:
        return {}

    def shown(self, version: Any) -> Any:
        """The value that a reader sees of a version (None: no version)."""
        return version.shown if version is not None else () if self.versions == "siblings" else None

    # Times

    @property
    def timeout(self) -> float:
        """Seconds that a coordinator waits for a node before it suspects it."""
        return self.detection_timeout

    @property
    def probe_every(self) -> float:
        """Seconds between probes of a suspected node."""
        return self.heartbeat_interval

    @property
    def longest_work(self) -> float:
        """The longest time (s) that a coordinator works on an operation; a write may have returned long before."""
        return ROUNDS * self.timeout

    @property
    def max_delay(self) -> float:
        """What ``grace`` leaves: a message with a value that is older than its tombstone would restore the value."""
        return max(0.0, self.grace - self.hint_expiry - self.longest_work)

    @property
    def hints_outlive_tombstones(self) -> bool:
        """Whether a hint of a write may be older than the grace period of the tombstone that deletes the write."""
        return self.hint_expiry + self.longest_work >= self.grace

    @property
    def has_spares(self) -> bool:
        """Whether there are nodes that may be stand-ins, and options that use them."""
        return self.nodes > self.n and (self.sloppy or self.handoff)

    @property
    def converges_within(self) -> float | None:
        """Seconds after the last write and fault within which all homes agree, without message delays.

        It is the longest work of a coordinator, plus two rounds of anti-entropy of every node with every other, plus
        two rounds of hints (one round of each suffices unless a message is slow). None: no anti-entropy.
        """
        if self.sync_every is None:
            return None
        return self.longest_work + 2 * (self.nodes * self.sync_every + self.handoff_every)

    @property
    def max_clock_drift(self) -> float | None:
        """5 % if ``grace`` leaves room for it, else 0: hints and tombstones are timed by clocks of different nodes."""
        longest = (self.hint_expiry + self.longest_work) * 1.05 / 0.95
        return 0.05 if longest < self.grace else 0.0

    @property
    def wall_clock_may_jump(self) -> bool:
        """False if there may be hints: they are on disk, and after a restart only the wall clock shows their age.

        A hint that seems younger than it is may outlive the tombstone of its key, and restore the deleted value.
        """
        return not self.has_spares

    # Interface to the simulator

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, DynamoNode) for name in (*self.names, *names("p", self.proxies)))

    @property
    def client_class(self) -> type[Node]:
        return DynamoClient

    @property
    def sees_completed_writes(self) -> bool:
        """Whether every read quorum intersects every write quorum, and only homes count."""
        if self.sloppy or self.unsafe or self.stamps == "coordinator":
            return False
        return disjoint_pair(as_quorums(self.r), as_quorums(self.w), self.names[: self.n]) is None

    @property
    def reads_are_monotone(self) -> bool:
        """Whether no read returns an older version than an earlier completed read: R homes hold it, and 2R > N."""
        reads = as_quorums(self.r)
        return (
            self.sees_completed_writes
            and self.repair == "blocking"
            and disjoint_pair(reads, reads, self.names[: self.n]) is None
        )

    @property
    def consistency(self) -> str | None:
        """Strict quorums with R + W > N: regular; with blocking repair and 2R > N: linearizable (ABD with clocks).

        Else eventual, if there is anti-entropy. With siblings also eventual, because a read of siblings is not a read
        of a register; `invariants` has their guarantees.
        """
        if self.versions == "siblings" or not self.sees_completed_writes:
            return None if self.unsafe or self.sync_every is None else "eventual"
        return "linearizable" if self.reads_are_monotone else "regular"

    def invariants(self) -> Iterable[Invariant]:
        safety = DynamoSafety(system=self)
        return (safety, Converged(system=self, safety=safety))

    def replica_values(self, nodes: Mapping[str, Node]) -> Mapping[str, Mapping[str, Any]]:
        """For i = 1 ... n: key -> the value at its i-th home; at its first live one, if that one is down."""
        stores = {name: node.store for name, node in nodes.items() if isinstance(node, DynamoNode)}
        keys = dict.fromkeys(key for store in stores.values() for key in store)

        def at(i: int, key: str) -> Any:
            homes = self.homes(key)
            live = homes[i] if homes[i] in stores else next((home for home in homes if home in stores), None)
            return self.shown(None if live is None else stores[live].get(key))

        return {f"home {i + 1}": {key: at(i, key) for key in keys} for i in range(self.n)}

    @property
    def replaces(self) -> bool:
        """Yes, where writes are ordered by the time at which clients, whose clocks agree, called them."""
        return self.versions == "lww" and self.stamps == "client" and not self.unsafe

    def progress(self, nodes: Mapping[str, Node]) -> None:
        """None: each key has its own replicas; `replica_values` shows whether they converge."""

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes no live node and no hint knows of, not even as replaced.

        Deleted keys are left out, because no node knows their writes once the tombstone is purged. None if coordinators
        name writes, because clients do not know these names.
        """
        if self.stamps == "coordinator":
            return None
        held: dict[str, Any] = {}
        for node in nodes.values():
            if isinstance(node, DynamoNode):
                for key, version in node.store.items():
                    held[key] = merged(held.get(key), version)
                for key, hints in node.handoff.hints.items():
                    held[key] = merged(held.get(key), *(version for _, version, _ in hints))
        lost: dict[str, int] = {}
        deleted: dict[str, None] = {}
        written: dict[tuple[int, str], int] = {}
        for (session, sequence), outcome in sorted(acknowledged.items()):
            key, kind = outcome.operation.key, outcome.operation.kind
            if kind in READS:
                continue
            number = written[session, key] = written.get((session, key), 0) + 1
            write: Any = (outcome.called, session, sequence)
            if self.versions == "siblings":
                write = (f"s{session}", number)
            if kind == "delete":
                deleted[key] = None
            elif held.get(key) is None or not held[key].knows(write):
                lost[key] = lost.get(key, 0) + 1
        return sum(count for key, count in lost.items() if key not in deleted)
