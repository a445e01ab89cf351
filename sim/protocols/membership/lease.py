"""Leader leases: for a limited time at most one member leads, and it leads without asking other members.

Gray & Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache Consistency", SOSP 1989; as
leases of mastership granted by a quorum: Lampson, "How to Build a Highly Available System Using Consensus", 1996.

A *granter* makes a promise to one *seeker* at a time: to promise nothing to other seekers for ``term`` seconds on the
granter's clock. A seeker with the promises of a quorum leads for ``term * (1 - drift) / (1 + drift)`` seconds on its
own clock, counted from the time of its *request*. Any node can have both parts. One granter alone is a lease service;
granters at all members form quorums.

Assumption: the rate of every monotonic clock is within a factor 1 ± ``drift`` of true time. Two quorums have a common
granter. Its promise began after the seeker's request, and ends at the earliest term / (1 + drift) of true time after
the request. The seeker stops before that time, even if its clock is slow.

Promises are not on disk: after a restart, a granter grants nothing for a whole term (Gray & Cheriton, section 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
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
    """How long a holder may rely on a promise of ``term`` seconds: seconds on its own clock, from its request."""
    return term * (1.0 - drift) / (1.0 + drift)


@message
class LeaseRequest:
    """Asks for a promise for one term. ``number``: the number of the seeker's request, (incarnation, count)."""

    number: tuple[int, int]


@message
class LeaseGrant:
    """A promise for one term from the arrival of the request."""

    number: tuple[int, int]


@message
class LeaseDenied:
    """No promise now. ``holder``: the seeker that has the promise; None after a restart of the granter."""

    number: tuple[int, int]
    holder: str | None


@message
class LeaseRelease:
    """The sender gives up all promises for requests up to ``number``."""

    number: tuple[int, int]


class LeaseGranter(Part):
    """Makes promises to one seeker at a time. Setting: ``term`` (seconds; None: from the node's settings)."""

    term: float | None = None

    def on_start(self) -> None:
        self.length = float(self.term or self.node.settings.lease_term)
        self.promised_to: str | None = None
        self.number = (-1, 0)
        # After a restart it does not know its earlier promises.
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
    """Requests the lease, and renews it while it holds it.

    Settings (None: from the node's settings): ``term``, ``drift``, ``granters`` (names), ``renew_every`` (seconds). The
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
        self.holder: str | None = None  # the node that it believes to be the holder
        self.count = 0
        self.grants: dict[
            tuple[int, int], tuple[float, dict[str, None]]
        ] = {}  # number -> (time of the request, nodes that granted it)
        self.set_timer("seek", self.interval * self.random.random())

    def usable_of(self, drift: float) -> float:
        """How long (seconds) it may rely on the promises of a quorum."""
        return usable_term(self.length, drift)

    @property
    def held(self) -> bool:
        """Whether this node holds the lease now."""
        return self.monotonic < self.until

    def on_seek_timeout(self) -> None:
        """Request the lease, or its renewal. After an unsuccessful attempt, give up and wait a random time."""
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
        """Give up all promises and tell the granters, for example so that another member can lead."""
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


# A system that does nothing else


class LeaseHolder(Node):
    """A member that leads while it holds the lease; it then answers each ``get`` with its name."""

    lease = part(LeaseSeeker)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if self.lease.held:
            self.send(src, Reply(command.session, command.sequence, "ok", self.name))
        else:
            self.send(src, Redirect(command.session, command.sequence, self.lease.holder))


class LeaseMember(LeaseHolder):
    """A member that is also a granter."""

    granter = part(LeaseGranter)


class LeaseService(Node):
    """A node that is only a granter."""

    granter = part(LeaseGranter)


@dataclass(frozen=True, kw_only=True)
class LeaderLease(ReplicatedSystem):
    """A group in which at most one member leads at a time, under a lease.

    Parameters
    ----------
    nodes:
        The number of members (>= 1) n0, n1, ...; all of them request the lease.
    granters:
        ``"quorum"``: all members are granters, and a majority is needed. ``"service"``: a single node ``leases``.
    term:
        Duration of a promise in seconds; None: the detection timeout.
    drift:
        The largest error of the rate of a clock (0 <= drift < 1).
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (3, 5), "granters": ("quorum", "service")}
    )

    granters: Literal["quorum", "service"] = "quorum"
    term: Seconds | None = None
    drift: Drift = 0.01

    operations: ClassVar[frozenset[str]] = frozenset({"get"})
    outlives_minority: ClassVar[bool] = True

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
        """The setting ``drift``."""
        return self.drift

    @property
    def lease_term(self) -> float:
        """The duration of a promise in seconds."""
        return self.term or self.detection_timeout

    @property
    def granter_names(self) -> tuple[str, ...]:
        """The names of the granters."""
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
        """All members, while none of them leads."""
        return () if self.holder("leader", nodes) is not None else tuple(nodes)


@dataclass
class OneHolder(Invariant):
    """At any true time at most one node holds the lease, if the rates of clocks are within the drift.

    A node begins to hold the lease in one of its steps, so it is enough to check after each step of a holder.
    """

    title: ClassVar[str] = "at most one holder at any time"

    def __post_init__(self) -> None:
        self.seekers: dict[str, LeaseSeeker] = {}
        self.parts: dict[type[Node], str | None] = {}  # class of nodes -> the name of its part that seeks

    def on_step(self, node: Node) -> None:
        kind = type(node)
        if kind not in self.parts:
            seeking = (name for name, part in kind._parts.items() if issubclass(part.cls, LeaseSeeker))
            self.parts[kind] = next(seeking, None)
        name = self.parts[kind]
        if name is None:
            return
        seeker = self.seekers[node.name] = getattr(node, name)
        if seeker.held:
            for peer, other in self.seekers.items():
                if other is not seeker and other.held:
                    self.violated(
                        (node.name, peer),
                        f"{node.name} holds the lease until {seeker.until:.6f} s on its clock",
                        f"{peer} holds it until {other.until:.6f} s on its own, where it is {other.monotonic:.6f} s",
                    )

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash":
            self.seekers.pop(node, None)
