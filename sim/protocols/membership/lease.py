"""Leader leases: for a stretch of time at most one member leads, and needs to ask nobody while it does.

Gray & Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache Consistency", SOSP 1989; as
leases of mastership granted by a quorum: Lampson, "How to Build a Highly Available System Using Consensus", 1996.

A *granter* promises one *seeker* at a time: for ``term`` seconds on my clock I promise nobody else. A seeker that has
the promises of a quorum leads for ``term * (1 - drift) / (1 + drift)`` seconds on its own clock, counted from when it
*asked*. Both parts can be held by any node; one granter alone is a lease service, granters at all members are a quorum.

Assumption: the rate of every monotonic clock is within a factor 1 ± ``drift`` of true time. Then two
quorums' common granter ends its promise, which began after the seeker asked, no earlier than term / (1 + drift) of true
time later; and the seeker stops by then even if its clock is slow.

A promise is not on disk: a granter that restarts grants nothing for a whole term (Gray & Cheriton, section 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Literal

from sim.message import message
from sim.node import Node, Part, part
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.quorums import Majority
from sim.protocols.system import ReplicatedSystem
from sim.settings import Drift, Seconds
from sim.system import Invariant, Member

__all__ = ["LeaderLease", "LeaseGranter", "LeaseMember", "LeaseSeeker", "usable_term"]


def usable_term(term: float, drift: float) -> float:
    """For how long (seconds on its own clock, since it asked) a holder may rely on a promise of ``term`` seconds."""
    return term * (1.0 - drift) / (1.0 + drift)


@message
class LeaseRequest:
    """Promise me a term. ``number``: of the seeker's requests, (start, count)."""

    number: tuple[int, int]


@message
class LeaseGrant:
    """Promised, for a term from when the request came."""

    number: tuple[int, int]


@message
class LeaseDenied:
    """Not now; promised to ``holder``, if anybody."""

    number: tuple[int, int]
    holder: str | None


@message
class LeaseRelease:
    """The sender relies on no promise up to request ``number``, and never will."""

    number: tuple[int, int]


class LeaseGranter(Part):
    """Promises one seeker at a time. Setting: ``term`` (seconds; None: that of the node's settings)."""

    term: float | None = None

    def on_start(self) -> None:
        self.length = float(self.term or self.node.settings.lease_term)
        self.promised_to: str | None = None
        self.number = (-1, 0)
        # After a restart it does not know what it has promised.
        self.until = self.monotonic + self.length if self.incarnation > 0 else self.monotonic

    def on_lease_request(self, src: str, msg: LeaseRequest) -> None:
        if self.monotonic < self.until and self.promised_to != src:
            self.send(src, LeaseDenied(msg.number, self.promised_to))
            return
        if self.promised_to != src or msg.number > self.number:
            self.promised_to, self.number = src, msg.number
            self.until = self.monotonic + self.length
            self.send(src, LeaseGrant(msg.number))

    def on_lease_release(self, src: str, msg: LeaseRelease) -> None:
        if self.promised_to == src and msg.number >= self.number:
            self.promised_to, self.until = None, self.monotonic


class LeaseSeeker(Part):
    """Seeks the lease, and keeps it once it has it.

    Settings (None: from the node's settings): ``term``, ``drift``, ``granters`` (names), ``renew_every`` (seconds). Its
    node may define ``lease_gained()`` and ``lease_lost()``; both are recorded (events ``lease`` and ``lease_over``).
    """

    term: float | None = None
    drift: float | None = None
    granters: tuple[str, ...] | None = None
    renew_every: float | None = None

    def on_start(self) -> None:
        settings = self.node.settings
        self.asked = self.granters or settings.granter_names
        self.is_quorum = Majority().over(self.asked)
        self.interval = float(self.renew_every or settings.heartbeat_interval)
        self.length = float(self.term or settings.lease_term)
        self.usable = self.usable_of(settings.drift if self.drift is None else self.drift)
        self.until = -inf  # on its monotonic clock
        self.holder: str | None = None  # the node that it believes to hold it
        self.count = 0
        self.grants: dict[
            tuple[int, int], tuple[float, dict[str, None]]
        ] = {}  # number -> (when asked, by which node)
        self.set_timer("seek", self.interval * self.random.random())

    def usable_of(self, drift: float) -> float:
        """For how long it may rely on a quorum's promises."""
        return usable_term(self.length, drift)

    @property
    def held(self) -> bool:
        """Whether this node holds the lease at this moment."""
        return self.monotonic < self.until

    def on_seek_timeout(self) -> None:
        """Ask for the lease, or for its renewal; but leave an unsuccessful attempt to others for a while."""
        tried = bool(self.grants)
        if tried and not self.held:
            self.give_up()
            self.set_timer("seek", self.interval + self.length * self.random.random())
            return
        self.count += 1
        number = (self.incarnation, self.count)
        self.grants = {n: g for n, g in self.grants.items() if self.monotonic < g[0] + self.usable}
        self.grants[number] = (self.monotonic, {})
        self.broadcast(LeaseRequest(number), to=self.asked, hold=False)
        self.set_timer("seek", self.interval)

    def give_up(self) -> None:
        """Rely on no promise, and say so: for example to let another lead."""
        self.until = -inf
        self.grants.clear()
        self.broadcast(LeaseRelease((self.incarnation, self.count)), to=self.asked, hold=False)

    def on_lease_grant(self, src: str, msg: LeaseGrant) -> None:
        if msg.number not in self.grants:
            return
        asked, by = self.grants[msg.number]
        by[src] = None
        if self.is_quorum(by) and asked + self.usable > max(self.until, self.monotonic):
            gained = not self.held
            self.until = asked + self.usable
            self.holder = self.name
            self.set_timer("expiry", self.until - self.monotonic)
            if gained:
                self.record("lease", seconds=self.until - self.monotonic)
                self._tell("lease_gained")

    def on_expiry_timeout(self) -> None:
        if self.held:
            self.set_timer("expiry", self.until - self.monotonic)
            return
        self.holder = None
        self.record("lease_over")
        self._tell("lease_lost")

    def on_lease_denied(self, src: str, msg: LeaseDenied) -> None:
        if not self.held:
            self.holder = msg.holder

    def _tell(self, what: str) -> None:
        hear = getattr(self.node, what, None)
        if hear is not None:
            hear()


# A system of nothing else


class LeaseHolder(Node):
    """A member that leads while it holds the lease; asked anything (``get``) it then answers with its name."""

    lease = part(LeaseSeeker)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if self.lease.held:
            self.send(src, Reply(command.session, command.sequence, "ok", self.name))
        else:
            self.send(src, Redirect(command.session, command.sequence, self.lease.holder))


class LeaseMember(LeaseHolder):
    """A member that also grants."""

    granter = part(LeaseGranter)


class LeaseService(Node):
    """One node that only grants."""

    granter = part(LeaseGranter)


@dataclass(frozen=True, kw_only=True)
class LeaderLease(ReplicatedSystem):
    """A group in which at most one member leads at a time, by a lease.

    Parameters
    ----------
    nodes:
        How many members (>= 1) n0, n1, ..., all of which seek the lease.
    granters:
        ``"quorum"``: a majority of the members themselves. ``"service"``: one node, ``leases``, that does nothing else.
    term:
        Seconds of a promise; None: the detection timeout.
    drift:
        How far the rate of a clock may be off (0 <= drift < 1).
    """

    granters: Literal["quorum", "service"] = "quorum"
    term: Seconds | None = None
    drift: Drift = 0.01

    operations: ClassVar[frozenset[str]] = frozenset({"get"})

    def __post_init__(self) -> None:
        super().__post_init__()
        usable = usable_term(self.lease_term, self.drift)
        if self.heartbeat is not None and self.lease_term and usable <= self.heartbeat:
            raise ValueError(
                f"LeaderLease: a term of {self.lease_term} s, {usable:g} s of it usable under a drift of {self.drift}, "
                f"ends before it is renewed every {self.heartbeat} s"
            )

    @property
    def max_clock_drift(self) -> float:
        """How wrong the rates of clocks may be."""
        return self.drift

    @property
    def lease_term(self) -> float:
        """Seconds of a promise."""
        return self.term or self.detection_timeout

    @property
    def granter_names(self) -> tuple[str, ...]:
        """Who grants."""
        return ("leases",) if self.granters == "service" else self.names

    def members(self) -> tuple[Member, ...]:
        if self.granters == "quorum":
            return tuple(Member(name, LeaseMember) for name in self.names)
        seekers = tuple(Member(name, LeaseHolder) for name in self.names)
        return (
            *seekers,
            Member("leases", LeaseService, group="services", role="service", colocated_with="n0"),
        )

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        held = [n.name for n in nodes.values() if isinstance(n, LeaseHolder) and n.lease.held]
        return held[0] if held else None

    def invariants(self) -> Iterable[Invariant]:
        return (OneHolder(),)

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """All, while nobody leads."""
        return () if self.holder("leader", nodes) is not None else tuple(nodes)


@dataclass
class OneHolder(Invariant):
    """At any true time at most one node holds the lease, as long as clock rates keep to the drift.

    Holding begins in a step of the holder, so it is enough to look at each step whether anyone else still holds.
    """

    title: ClassVar[str] = "at most one holder at any time"

    def __post_init__(self) -> None:
        self.seekers: dict[str, LeaseSeeker] = {}

    def on_step(self, node: Node) -> None:
        seeker = next((p for p in node.__dict__.values() if isinstance(p, LeaseSeeker)), None)
        if seeker is None:
            return
        self.seekers[node.name] = seeker
        if seeker.held:
            for name, other in self.seekers.items():
                if other is not seeker and other.held:
                    self.violated(
                        (node.name, name),
                        f"{node.name} holds the lease until {seeker.until:.6f} s on its clock",
                        f"{name} holds it until {other.until:.6f} s on its own, where it is {other.monotonic:.6f} s",
                    )

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash":
            self.seekers.pop(node, None)
