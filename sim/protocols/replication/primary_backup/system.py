"""Primary-backup as a system: settings, members and claims; see `sim.protocols.replication.primary_backup.node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.node import Node
from sim.protocols.client import Client
from sim.protocols.membership.suspicion import FixedTimeout, PhiAccrual, Rule
from sim.protocols.membership.views import MOST_DRIFT, SealingViewService, View, ViewRules, ViewService
from sim.protocols.replication.primary_backup.backup_reads import BackupReader, SessionReader
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode, Unreplicated
from sim.protocols.replication.service_times import ServiceTimes, check_costs
from sim.protocols.sessions import Sessions
from sim.protocols.system import LedSystem, StateMachineSystem, check_member
from sim.settings import Count, Seconds, Whole
from sim.system import Invariant, Member, positions

__all__ = ["PrimaryBackup"]


@dataclass(frozen=True, kw_only=True)
class PrimaryBackup(LedSystem, StateMachineSystem):
    """Primary-backup with ``nodes`` replicas and a view service.

    Parameters
    ----------
    nodes:
        Replicas (>= 1), named "n0", "n1", ...
    mode:
        ``"sync"``: acknowledged when on the disk of every backup of the view; linearizable, survives all but
        one. ``"semi-sync"``: on the disks of ``acks`` of them. ``"async"``: acknowledged when on the primary's
        disk; a failover loses what was not shipped.
    acks:
        Semi-sync: how many backups (1 to ``nodes - 1``).
    fallback:
        Semi-sync: seconds after which the primary acknowledges without its backups, flagged `Unreplicated`, until
        they have caught up; None: never, it waits.
    reads:
        ``"primary"``: at the primary, confirmed by as many backups as a write needs. ``"lease"``: at the primary
        alone while it holds a lease. ``"backup"``: at any replica, possibly stale. ``"session"``: at any replica
        that has applied everything that the session has seen (read your writes, monotonic reads), by a token.
    staleness:
        For ``reads="backup"``: a backup that may be further behind (seconds) than this sends readers to the
        primary; it trusts the primary's clock and its own. None: unbounded.
    keep:
        Applied entries that stay in the log before a snapshot replaces them; None: all.
    leader:
        The first primary; None: the first replica.
    service_at:
        The replica at whose place the view service runs; None: the last replica that is not the first primary.
    services:
        Nodes of the view service: 1, or (not for semi-sync) a group that keeps its decisions by Raft, spread over
        the replicas' places.
    costs:
        Processor time of operations at the replicas; None: zero (see `ServiceTimes`).
    fencing:
        False (with ``unsafe``): an async primary answers without a lease, so two primaries may answer at a time.
    detector:
        The view service's failure detector (`FixedTimeout`, `PhiAccrual`); None: a timeout of the detection time.
        Only without leases, which rely on that time: sync, or semi-sync without fallback, and not with
        ``reads="lease"`` or a staleness.

    Raises ValueError for a value out of range.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            **LedSystem.safe_options,
            "nodes": (3, 5),
            "mode": ("sync", "sync", "semi-sync"),
            "reads": ("primary", "primary", "lease"),
            "services": (1, 1, 3),
            "keep": (None, None, 3),
        }
    )

    title: ClassVar[str] = "Primary-Backup"
    product_table: ClassVar[str] = "sim.protocols.replication.primary_backup.products"

    mode: Literal["sync", "semi-sync", "async"] = "sync"
    acks: Count = 1
    fallback: Seconds | None = None
    reads: Literal["primary", "lease", "backup", "session"] = "primary"
    staleness: Seconds | None = None
    keep: Whole | None = None
    service_at: str | None = None
    services: Count = 1
    costs: ServiceTimes | None = None
    fencing: bool = True
    detector: Rule | None = None

    leader_roles: ClassVar[tuple[str, ...]] = ("leader", "primary", "head", "backup")
    service: ClassVar[str] = "views"
    node_class: ClassVar[type[PrimaryBackupNode]] = PrimaryBackupNode
    service_class: ClassVar[type[ViewService] | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_costs(self, self.costs)
        self._check_detector()
        if self.mode == "semi-sync" and self.acks > self.nodes - 1:
            raise ValueError(
                f"PrimaryBackup: acks must be from 1 to the number of backups ({self.nodes - 1}), not {self.acks!r}"
            )
        for field, needs in (("fallback", 'mode="semi-sync"'), ("staleness", 'reads="backup"')):
            value = getattr(self, field)
            if value is not None and not self._has(needs):
                raise ValueError(f"PrimaryBackup: {field}={value!r} has an effect with {needs} only")
        if self.services > 1 and (self.mode == "semi-sync" or self.service_at is not None):
            raise ValueError(
                f"PrimaryBackup: services={self.services} goes with mode 'sync' or 'async', and without service_at"
            )
        check_member(self, "service_at", self.names)
        if not self.fencing and not self.unsafe:
            raise ValueError(
                "PrimaryBackup: fencing=False lets two primaries answer; say unsafe=True as well"
            )

    def _check_detector(self) -> None:
        if self.detector is None:
            return
        if not isinstance(self.detector, FixedTimeout | PhiAccrual):
            # Pings carry no numbers, and a member sends more of them when a view changes.
            raise ValueError(
                f"PrimaryBackup: detector must be a FixedTimeout or PhiAccrual, not {self.detector!r}"
            )
        if self.leases_matter and not self.unsafe:
            raise ValueError(
                f"PrimaryBackup: detector={self.detector!r} may depose a primary before its lease is over; "
                f"mode={self.mode!r} with reads={self.reads!r} relies on leases"
            )

    @property
    def leases_matter(self) -> bool:
        """Whether any node relies on a lease."""
        return self.needs_lease or self.reads == "lease" or self.staleness is not None

    def _has(self, setting: str) -> bool:
        return setting in (f'mode="{self.mode}"', f'reads="{self.reads}"')

    def acks_of(self, backups: int) -> int:
        """How many of ``backups`` backups must have a write before it takes effect."""
        return {"sync": backups, "semi-sync": self.acks, "async": 0}[self.mode]

    @property
    def needs_lease(self) -> bool:
        """Whether a primary may answer without asking other replicas, so that it needs a lease."""
        return self.fencing and (self.mode == "async" or self.fallback is not None)

    @property
    def max_clock_drift(self) -> float | None:
        """The drift that leases allow; 0 with a bound on staleness; without either, time is used for timeouts only."""
        if self.staleness is not None:
            return 0.0
        return MOST_DRIFT if self.needs_lease or self.reads == "lease" else None

    @property
    def wall_clock_may_jump(self) -> bool:
        """False with a bound on staleness, because a backup compares the primary's wall clock with its own."""
        return self.staleness is None

    @property
    def max_gone(self) -> int:
        """One, if there are more: how many more depends on how many had the last writes."""
        return min(1, self.nodes - 1)

    def is_stranded(self, nodes: Mapping[str, Node]) -> bool:
        """Whether no replica is left that may lead: one that was in each view since the last acknowledged one.

        One without a log may not (it may have lost its disk), unless all are back, and they begin again.
        """
        services = [node for name in self.service_names if isinstance(node := nodes.get(name), ViewRules)]
        newest = max(services, key=lambda service: service.view.number, default=None)
        if newest is None:
            return False
        ready = [n for m in newest.ready if isinstance(n := nodes.get(m), PrimaryBackupNode)]
        all_are_back = all(member in nodes for member in self.names)
        return not any(node.log_view or all_are_back for node in ready)

    @property
    def first_view(self) -> View:
        """The view that is in force at the start."""
        first = self.first_leader
        return View(1, (first, *[m for m in self.names if m != first]))

    def members(self) -> tuple[Member, ...]:
        return (*super().members(), *self._service_members())

    @property
    def service_names(self) -> tuple[str, ...]:
        """The nodes of the view service."""
        return (
            (self.service,)
            if self.services == 1
            else tuple(f"{self.service}{i}" for i in range(self.services))
        )

    def _service_members(self) -> Iterable[Member]:
        last = max(self.first_view.backups, default=self.first_view.primary)
        if self.services == 1:
            kind = self.service_class or (SealingViewService if self.mode == "semi-sync" else ViewService)
            return [
                Member(
                    self.service,
                    kind,
                    group="services",
                    colocated_with=self.service_at or last,
                    role="service",
                )
            ]
        from sim.protocols.membership.views import RaftViewService, ViewGroup

        group = ViewGroup(
            leader=self.service_names[0],
            first_view=self.first_view,
            heartbeat=self.heartbeat_interval,
            detection=self.detection_timeout,
            leases=self.leases_matter,
            detector=self.detector,
        )
        places = [last, *[m for m in self.first_view.members if m != last]]
        return [
            Member(
                name,
                RaftViewService,
                "services",
                group,
                colocated_with=places[i % len(places)],
                role="service",
            )
            for i, name in enumerate(self.service_names)
        ]

    @property
    def replica_class(self) -> type[Node]:
        if self.costs is None:
            return self.node_class
        from sim.protocols.replication.primary_backup.paced import PacedPrimaryBackupNode

        return PacedPrimaryBackupNode

    @property
    def client_class(self) -> type[Node]:
        return {"backup": BackupReader, "session": SessionReader}.get(self.reads, Client)

    @property
    def consistency(self) -> str | None:
        if self.mode == "async" or self.fallback is not None or self.unsafe:
            return None  # a failover may undo acknowledged and read writes
        return {"backup": None, "session": "sequential"}.get(self.reads, "linearizable")

    @property
    def applied(self) -> Literal["final", "tentative"]:
        """Tentative if a primary may apply what no backup has: a failover may undo it."""
        alone = self.mode == "async" or self.fallback is not None or self.unsafe
        return "tentative" if alone else "final"

    def keeps(self, outcome: Any) -> bool:
        """All, but for what an async primary, or one that said so (`Unreplicated`), has acknowledged alone."""
        return self.mode != "async" and not isinstance(outcome.result, Unreplicated) and not self.unsafe

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        if role not in self.leader_roles:
            raise LookupError(f"PrimaryBackup has no {role}")
        replicas = {m: n for m in self.names if isinstance(n := nodes.get(m), PrimaryBackupNode)}
        leading = [m for m, n in replicas.items() if n.role == "primary"]
        primary = max(leading, key=lambda m: replicas[m].view_number, default=None)
        if role != "backup" or primary is None:
            return primary
        view = replicas[primary].view
        return next((b for b in view.backups if b in replicas), None) if view is not None else None

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.replication.primary_backup.invariants import invariants_of

        return invariants_of(self)

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How much of its log each replica has applied; with a replicated view service, each of its servers, too."""
        from sim.protocols.membership.views import RaftViewService

        services = positions(nodes, RaftViewService, "last_applied")
        return {**positions(nodes, PrimaryBackupNode, "applied"), **services}

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        replicas = [n for m in self.names if isinstance(n := nodes.get(m), PrimaryBackupNode)]
        if not replicas or self.is_stranded(nodes):
            return None
        holder = max(replicas, key=lambda n: (n.role == "primary", n.log_view, n.last))
        store = Sessions(self.application)
        if holder.snapshot is not None:
            store.restore(holder.snapshot)
        for entry in holder.log:
            store.apply(entry.command)
        return len(store.missing(acknowledged))
