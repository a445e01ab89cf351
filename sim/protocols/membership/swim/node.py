"""SWIM: failure detection by random probing; membership updates are piggybacked on probes; suspicion, incarnations.

Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002.

Once per protocol period, every member pings one other member, the target. Without an acknowledgement in time it asks k
other members to ping the target (section 3.1). Without an acknowledgement by the end of the period, the target is
suspected. If no update refutes the suspicion before the suspicion timeout, the target is confirmed as failed (4.2).
Updates are piggybacked on pings and acknowledgements, each a bounded number of times (4.1). Targets are chosen in a
random round-robin order (4.3), so that n members find a crash within 2n - 1 periods.

Assumptions: crash faults, lossy links; a member's incarnation is on its disk (a member that loses its disk learns it
from the others).

Departures:

- A member that was confirmed dead may return: it receives the update about itself and raises its incarnation (as in
  HashiCorp's memberlist). So a confirmation is accepted only if its incarnation is not older than the known one; the
  highest received incarnation is kept with any status; and a dead member returns only with a higher incarnation.
- A message to a member that the sender does not consider alive contains this status (the buddy system of Lifeguard,
  Dadgar et al. 2018).
- Every ``sync_every`` periods a member exchanges whole lists with another, dead members included. This heals
  partitions, spreads new members, and reaches members that an update has missed (memberlist's push-pull). Members that
  are dead in a received list become suspects.
- A member whose timers fire late was paused: it draws no conclusions from the silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log, log10
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from sim.message import message
from sim.node import Node, durable
from sim.protocols.admin import AdminReply, Join, Leave
from sim.protocols.client import Reply, Request
from sim.protocols.membership.heartbeats import MembershipClient, member_of
from sim.protocols.membership.suspicion import PUNCTUAL
from sim.protocols.membership.swim.invariants import GONE, Update, swim_invariants
from sim.protocols.system import ReplicatedSystem, names
from sim.settings import Bounds, Count, Positive, Seconds, Several, Whole
from sim.system import Invariant, Member

__all__ = ["Ack", "Exchange", "Ping", "PingReq", "Swim", "SwimNode", "Update"]


@message
class Ping:
    """Asks the receiver for an acknowledgement."""

    number: int
    updates: tuple[Update, ...] = ()


@message
class PingReq:
    """Asks the receiver to ping ``target``."""

    number: int
    target: str
    updates: tuple[Update, ...] = ()


@message
class Ack:
    """Acknowledges a ping: the sender, or the target of a `PingReq`, is alive."""

    number: int
    updates: tuple[Update, ...] = ()


@message
class Exchange:
    """The whole list of the sender; ``answer``: it answers another `Exchange`."""

    updates: tuple[Update, ...]
    answer: bool = False

    @property
    def wire_bytes(self) -> int:
        """About 20 bytes for a name, a status and an incarnation."""
        return 1 + 20 * len(self.updates)


def overrides(new: Update, known: Update) -> bool:
    """Whether an update replaces the known one of its member (section 4.2, and the departures above)."""
    if known.status in GONE:
        return new.status == "alive" and new.incarnation > known.incarnation
    if new.status == "alive":
        return new.incarnation > known.incarnation
    if new.status == "suspect":
        return new.incarnation > known.incarnation - (known.status == "alive")
    return new.incarnation >= known.incarnation


class SwimNode(Node):
    """A member. Clients may ask it for the status of a member (``get``)."""

    settings: Any  # a `Swim`
    inc = durable(0)  # its own incarnation number; only it raises it

    def on_start(self) -> None:
        settings = self.settings
        self.known: dict[str, Update] = dict(settings.first_members)
        self.known.pop(self.name, None)
        self.rumours: dict[str, list[Any]] = {}  # member -> [update, number of times it was sent]
        self.order: list[str] = []
        self.suspicions: dict[str, float] = {}  # member -> time at which it will be confirmed
        self.number = 0
        self.probe: tuple[int, str] | None = None  # unanswered
        self.relays: dict[int, tuple[str, int]] = {}  # own number -> the member that asked, and its number
        self.older_relays: dict[int, tuple[str, int]] = {}  # those of the period before
        self.periods = 0
        self.leaving: int | None = None  # remaining periods in which it spreads that it leaves
        self.joined = self.incarnation == 0 and self.name in settings.first_members
        if not self.joined:
            self.inc += 1
            self.spread(Update(self.name, "alive", self.inc))
            self.exchange()
        self.due = self.monotonic + settings.protocol_period * (self.random.random() if self.joined else 0.0)
        self.set_timer("period", self.due - self.monotonic)

    # Failure detection (section 3)

    def on_period_timeout(self) -> None:
        settings = self.settings
        if self.monotonic - self.due > PUNCTUAL:
            self.probe = None  # this node was paused: the acknowledgement may be among its unread messages
        self.due = self.monotonic + settings.protocol_period
        self.set_timer("period", settings.protocol_period)
        if self.leaving is not None:
            self.leaving -= 1
            if self.leaving < 0:
                self.cancel_timer("period")
                return
        if self.probe is not None:
            self.fail(self.probe[1])
        self.relays, self.older_relays = {}, self.relays
        self.periods += 1
        if not self.joined or (settings.sync_every and self.periods % settings.sync_every == 0):
            self.exchange()
        target = self.next_target()
        if target is not None:
            self.number += 1
            self.probe = (self.number, target)
            self.set_timer("ack", settings.ack_timeout)
            self.send(target, Ping(self.number, self.piggyback(target)))

    def next_target(self) -> str | None:
        """The next member to ping: the next of a shuffled list (4.3), or a random member (section 3.1)."""
        self.probe = None
        if self.settings.order == "random":
            candidates = self.present()
            return self.random.choice(candidates) if candidates else None
        for _ in range(2):
            while self.order:
                target = self.order.pop()
                if self.is_present(target):
                    return target
            self.order = list(self.present())
            self.random.shuffle(self.order)
        return None

    def is_present(self, member: str) -> bool:
        """Whether a member is alive or suspected."""
        known = self.known.get(member)
        return known is not None and known.status not in GONE

    def present(self) -> list[str]:
        """The other members that are alive or suspected."""
        return [member for member, known in self.known.items() if known.status not in GONE]

    def on_ping(self, src: str, msg: Ping) -> None:
        self.hear_all(msg.updates)
        self.send(src, Ack(msg.number, self.piggyback(src)))

    def on_ack_timeout(self) -> None:
        """No acknowledgement in time: ask k other members to ping the target."""
        if self.probe is None:
            return
        number, target = self.probe
        others = [member for member in self.present() if member != target]
        for proxy in self.random.sample(others, min(self.settings.k, len(others))):
            self.send(proxy, PingReq(number, target, self.piggyback(proxy)))

    def on_ping_req(self, src: str, msg: PingReq) -> None:
        self.hear_all(msg.updates)
        self.number += 1
        self.relays[self.number] = (src, msg.number)
        self.send(msg.target, Ping(self.number, self.piggyback(msg.target)))

    def on_ack(self, src: str, msg: Ack) -> None:
        self.hear_all(msg.updates)
        if self.probe is not None and self.probe[0] == msg.number:
            self.probe = None
        relay = self.relays.pop(msg.number, None) or self.older_relays.pop(msg.number, None)
        if relay is not None:
            self.send(relay[0], Ack(relay[1], self.piggyback(relay[0])))

    def fail(self, target: str) -> None:
        """Neither the target nor a member that was asked to ping it has acknowledged."""
        status = "suspect" if self.settings.suspicion is not None else "dead"
        self.hear(Update(target, status, self.known[target].incarnation))

    # Suspicion and incarnations (section 4.2)

    def hear_all(self, updates: tuple[Update, ...]) -> None:
        """Process all updates of a message."""
        for update in updates:
            self.hear(update)

    def hear(self, update: Update) -> None:
        """Process an update about a member."""
        member = update.member
        if member == self.name:
            self.hear_of_myself(update)
            return
        known = self.known.get(member)
        if known is None or overrides(update, known):
            self.adopt(update, known)
        elif update.incarnation > known.incarnation:
            self.known[member] = Update(member, known.status, update.incarnation)

    def hear_of_myself(self, update: Update) -> None:
        """Refute a suspicion or a confirmation of this member, with a higher incarnation."""
        doubted = update.incarnation == self.inc and update.status != "alive"
        if self.leaving is None and (doubted or update.incarnation > self.inc):
            self.inc = update.incarnation + 1
            self.spread(Update(self.name, "alive", self.inc))
            self.record("refute", incarnation=self.inc)

    def adopt(self, update: Update, known: Update | None) -> None:
        """Store an update, and spread it."""
        member, status = update.member, update.status
        self.known[member] = update
        self.spread(update)
        before = known.status if known is not None else None
        if self.suspicions.pop(member, None) is not None:
            self.cancel_timer("suspicion", member)
        if status == "suspect":
            self.suspect(member)
        if status == "alive" and (known is None or before in GONE):
            # New members are inserted at a random position (section 4.3).
            self.order.insert(self.random.below(len(self.order) + 1), member)
        if status != before:
            self.record(event_of(before, status), peer=member, incarnation=update.incarnation)

    def suspect(self, member: str) -> None:
        """Set the timer that confirms a member as failed, unless another update arrives in time."""
        timeout = self.settings.suspicion_timeout(len(self.known) + 1)
        self.suspicions[member] = self.monotonic + timeout
        self.set_timer("suspicion", timeout, member)

    def on_suspicion_timeout(self, member: str) -> None:
        due = self.suspicions.pop(member, None)
        if due is None:
            return
        if self.monotonic - due > PUNCTUAL:
            self.suspect(member)  # this node was paused: an update that clears the suspect may be waiting
            return
        self.hear(Update(member, "dead", self.known[member].incarnation))

    # Dissemination (section 4.1)

    def spread(self, update: Update) -> None:
        """Piggyback an update on the next messages; it replaces an older update about the same member."""
        self.rumours.pop(update.member, None)
        self.rumours[update.member] = [update, 0]

    def piggyback(self, dst: str) -> tuple[Update, ...]:
        """The updates for a message to ``dst``: the least often sent ones, and one that ``dst`` should refute."""
        known = self.known.get(dst)
        doubt = () if known is None or known.status == "alive" else (known,)
        if not self.rumours:
            return doubt
        chosen = list(self.rumours.values())
        if len(chosen) > self.settings.piggyback:
            chosen.sort(key=lambda rumour: rumour[1])
            del chosen[self.settings.piggyback :]
        limit = self.settings.transmissions(len(self.known) + 1)
        for rumour in chosen:
            rumour[1] += 1
            if rumour[1] >= limit:
                del self.rumours[rumour[0].member]
        return (*doubt, *[rumour[0] for rumour in chosen])

    # Whole lists; joining and leaving

    def exchange(self) -> None:
        """Exchange lists with a random member that has not left; dead members are included."""
        others = [member for member, known in self.known.items() if known.status != "left"]
        if others:
            self.send(self.random.choice(others), Exchange(self.whole_list()))

    def whole_list(self) -> tuple[Update, ...]:
        """The updates about all members, itself included."""
        own = Update(self.name, "alive" if self.leaving is None else "left", self.inc)
        return (own, *self.known.values())

    def on_exchange(self, src: str, msg: Exchange) -> None:
        for update in msg.updates:
            known = self.known.get(update.member)
            if known is update:
                continue  # a quick test, true for most entries in a large, stable group
            if update.status == "dead" and self.settings.suspicion is not None and known is not None:
                update = Update(update.member, "suspect", update.incarnation)
            self.hear(update)
        if msg.answer:
            self.joined = True
        else:
            self.send(src, Exchange(self.whole_list(), answer=True))

    def on_join(self, src: str, msg: Join) -> None:
        """An administrator asks whether a new member has joined; a new member joins by itself when it starts."""
        done = msg.member == self.name or self.is_present(msg.member)
        self.send(
            src, AdminReply(done, reason="" if done else f"{self.name} has not heard of {msg.member} yet")
        )

    def on_leave(self, src: str, msg: Leave) -> None:
        """An administrator removes a member; the member itself spreads this, as often as any update is sent."""
        if msg.member != self.name:
            known = self.known.get(msg.member)
            gone = known is not None and known.status == "left"
            self.send(src, AdminReply(gone, leader=None if gone else msg.member))
            return
        if self.leaving is None:
            self.leaving = self.settings.transmissions(len(self.known) + 1)
            self.spread(Update(self.name, "left", self.inc))
            self.record("leaving")
        self.send(src, AdminReply(True))

    # Clients

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        asked = member_of(command.key, self.members)
        if asked == self.name:
            status = "alive" if self.leaving is None else "left"
        else:
            status = self.known[asked].status if asked in self.known else "unknown"
        self.send(src, Reply(command.session, command.sequence, "ok", status))


def event_of(before: str | None, status: str) -> str:
    """The name of the event for a change of a member's status."""
    if status == "alive":
        return {None: "join", "suspect": "clear"}.get(before, "return")
    return {"suspect": "suspect", "dead": "confirm", "left": "leave"}[status]


_PERIODS = Bounds("at least 1 period, or no denial could arrive", least=1)


@dataclass(frozen=True, kw_only=True)
class Swim(ReplicatedSystem):
    """A group whose members detect crashes and spread changes of membership by SWIM.

    Parameters
    ----------
    nodes, spares:
        The number of members n0, n1, ... (>= 2), and the number of further members that are off until a `Join`.
    period, timeout:
        Seconds of a protocol period, and of the wait for an acknowledgement before others are asked to ping. None: 4
        and 1.5 heartbeats, because a heartbeat is at least a round trip.
    k:
        The number of members that are asked to ping (>= 1).
    order:
        ``"round-robin"``: all members in a random order, then in another one. ``"random"``: a random member each time.
    suspicion:
        The number of periods for which a member is suspected before it is confirmed dead, in a group of up to 10
        (above, multiplied by log10 of the group size). None: a member that does not answer is dead at once.
    retransmit, piggyback:
        An update is sent ``retransmit`` (the paper's lambda) x ln(group size) times; a message has at most
        ``piggyback`` updates.
    sync_every:
        Periods between exchanges of whole lists; None: never, as in the paper.
    """

    nodes: Several = 5
    spares: Whole = 0
    period: Seconds | None = None
    timeout: Seconds | None = None
    k: Count = 3
    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"order": ("round-robin", "random")}
    )

    order: Literal["round-robin", "random"] = "round-robin"
    suspicion: Annotated[float, _PERIODS] | None = 4.0
    retransmit: Positive = 3.0
    piggyback: Count = 8
    sync_every: Count | None = 10

    product_table: ClassVar[str] = "sim.protocols.membership.swim.products"
    node_class: ClassVar[type[Node]] = SwimNode
    outlives_minority: ClassVar[bool] = True
    operations: ClassVar[frozenset[str]] = frozenset({"get"})

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.heartbeat is not None or (self.period is not None and self.timeout is not None)
        if known and self.ack_timeout >= self.protocol_period:
            raise ValueError(
                f"Swim: timeout ({self.ack_timeout} s) must be shorter than the period ({self.protocol_period} s)"
            )

    # Used by members

    @property
    def protocol_period(self) -> float:
        """The protocol period in seconds."""
        return self.period if self.period is not None else 4.0 * self.heartbeat_interval

    @property
    def ack_timeout(self) -> float:
        """Seconds from a ping until other members are asked to ping."""
        return self.timeout if self.timeout is not None else 1.5 * self.heartbeat_interval

    @cached_property
    def first_members(self) -> dict[str, Update]:
        """The members of the group at the start."""
        return {name: Update(name, "alive", 0) for name in self.names}

    def transmissions(self, count: int) -> int:
        """The number of times that an update is sent in a group of ``count`` members: lambda log n."""
        return max(1, ceil(self.retransmit * log(max(count, 2))))

    def suspicion_timeout(self, count: int) -> float:
        """Seconds of suspicion in a group of ``count`` members: longer in large groups, as updates take longer."""
        return (self.suspicion or 0.0) * self.protocol_period * max(1.0, log10(max(count, 1)))

    # Used by scenarios

    def members(self) -> tuple[Member, ...]:
        spares = names("n", self.nodes + self.spares)[self.nodes :]
        return (*super().members(), *(Member(name, SwimNode, off=True) for name in spares))

    @property
    def client_class(self) -> type[Node]:
        return MembershipClient

    def invariants(self) -> Iterable[Invariant]:
        return swim_invariants()

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The live members whose list is wrong: live members must be alive with their incarnations, others gone."""
        swimmers = {name: node for name, node in nodes.items() if isinstance(node, SwimNode)}
        present = {name: node.inc for name, node in swimmers.items() if node.leaving is None}

        def agrees(node: SwimNode) -> bool:
            listed = {m: u.incarnation for m, u in node.known.items() if u.status == "alive"}
            gone = all(u.status in GONE for m, u in node.known.items() if m not in present)
            return gone and listed == {m: inc for m, inc in present.items() if m != node.name}

        return tuple(name for name in present if not agrees(swimmers[name]))
