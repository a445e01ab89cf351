"""Failure detection by all-to-all heartbeats: a part for any node, and a system of members that only watch each other.

Every member sends a heartbeat to every other member, n(n-1) messages per period; each member judges the others by the
arrival times (`sim.protocols.membership.suspicion`). In the terms of Chandra & Toueg (J. ACM 43(2), 1996) the detector
is strongly complete (after its timeout, every member suspects a crashed member), and, if delays are eventually bounded,
eventually strongly accurate.

The part is declared as ``detector = part(HeartbeatDetector, rule=PhiAccrual(8.0))``; the rule and the times come from
the node's settings unless they are given. The node may define ``suspected(peer)`` and ``trusted(peer)``; each change is
also recorded (events ``suspect`` and ``trust``).

*Local pauses.* An observer that was paused (garbage collection, a stopped process) has received no heartbeats for long,
but this says nothing about its peers. Late timers show the pause; then the observation of all peers begins again.
Cassandra does the same (CASSANDRA-9183).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.message import message
from sim.node import Node, Part, part
from sim.protocols.client import Client, Reply, Request
from sim.protocols.membership.suspicion import PUNCTUAL, FixedTimeout, Rule, Watch
from sim.protocols.system import ReplicatedSystem
from sim.settings import Several
from sim.system import Invariant

__all__ = [
    "Heartbeat",
    "HeartbeatDetector",
    "HeartbeatDetectors",
    "MembershipClient",
    "MonitorNode",
    "member_of",
]


@message
class Heartbeat:
    """The sender is alive: heartbeat ``number`` since its start ``incarnation``."""

    incarnation: int
    number: int


class HeartbeatDetector(Part):
    """Sends heartbeats to all peers, and suspects peers that are silent for too long.

    Settings: ``rule``, ``heartbeat``, ``detection`` (seconds); None: those of the node's settings.
    """

    rule: Rule | None = None
    heartbeat: float | None = None
    detection: float | None = None

    def on_start(self) -> None:
        settings = self.node.settings
        self.interval = float(self.heartbeat or settings.heartbeat_interval)
        self.limit = float(self.detection or settings.detection_timeout)
        self.how = self.rule or settings.detector
        self.number = 0
        self.latest: dict[str, tuple[int, int]] = {}  # peer -> its newest heartbeat
        self.suspects: dict[str, None] = {}
        self.watches = {peer: self._watch() for peer in self.peers}
        self.beat_due = self.monotonic + self.interval * self.random.random()
        self.set_timer("beat", self.beat_due - self.monotonic)
        self._look_ahead()

    def _watch(self) -> Watch:
        return self.how.watch(self.monotonic, self.interval, self.limit)

    # Queries

    def is_suspected(self, peer: str) -> bool:
        """Whether a peer is suspected now."""
        return peer in self.suspects

    def level(self, peer: str) -> float:
        """The suspicion level of a peer; its unit depends on the rule (phi, or the elapsed share of the timeout)."""
        return self.watches[peer].level(self.monotonic)

    # Sending

    def on_beat_timeout(self) -> None:
        self._check_punctuality(self.beat_due)
        # Heartbeat i is due at a fixed time, and rules estimate arrivals by this, so missed ones have numbers, too.
        periods = 1 + int(max(0.0, self.monotonic - self.beat_due) // self.interval)
        self.number += periods
        self.beat_due += periods * self.interval
        self.set_timer("beat", self.beat_due - self.monotonic)
        self.broadcast(Heartbeat(self.incarnation, self.number), hold=False)

    # Receiving

    def on_heartbeat(self, src: str, msg: Heartbeat) -> None:
        known = self.latest.get(src)
        this = (msg.incarnation, msg.number)
        if known is not None and this <= known:
            return  # late, or a duplicate
        if known is None or known[0] != msg.incarnation:
            self.watches[src] = (
                self._watch()
            )  # the arrivals of an earlier incarnation say nothing about this one
        self.latest[src] = this
        self.watches[src].heard(self.monotonic, msg.number)
        if src in self.suspects:
            del self.suspects[src]
            self.record("trust", peer=src)
            self._tell("trusted", src)
        if self.watches[src].deadline < self.check_due:
            self._look_ahead()

    # Judging

    def _look_ahead(self) -> None:
        """Set the timer to the earliest deadline of a peer that is not suspected."""
        deadlines = [w.deadline for peer, w in self.watches.items() if peer not in self.suspects]
        self.check_due = min(deadlines, default=float("inf"))
        if deadlines:
            self.set_timer("check", max(0.0, self.check_due - self.monotonic))

    def on_check_timeout(self) -> None:
        if self._check_punctuality(self.check_due):
            for peer, watch in self.watches.items():
                if peer not in self.suspects and self.monotonic >= watch.deadline - 1e-9:
                    self.suspects[peer] = None
                    self.record("suspect", peer=peer, timeout=watch.timeout)
                    self._tell("suspected", peer)
        self._look_ahead()

    def _check_punctuality(self, due: float) -> bool:
        """Whether a timer fired on time. If not, this node was paused: begin to watch all peers again."""
        late = self.monotonic - due
        if late <= PUNCTUAL:
            return True
        self.record("late", seconds=late)
        for watch in self.watches.values():
            watch.excuse(self.monotonic)
        return False

    def _tell(self, what: str, peer: str) -> None:
        hear = getattr(self.node, what, None)
        if hear is not None:
            hear(peer)


# A system that does nothing else


class MembershipClient(Client):
    """Sends requests to the nearest member that it does not avoid."""

    def learn(self, src: str, msg: Reply) -> None:
        """There is no leader to learn."""


def member_of(key: str, members: tuple[str, ...]) -> str:
    """The member about which a client asks: ``key`` is its name, or ends with its number (modulo n)."""
    if key in members:
        return key
    digits = key[len(key.rstrip("0123456789")) :]
    return members[int(digits or 0) % len(members)]


class MonitorNode(Node):
    """A member that watches the others. Clients may ask for its opinion of a member (``get``: "up" or "suspect")."""

    detector = part(HeartbeatDetector)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        asked = member_of(command.key, self.members)
        status = "suspect" if self.detector.is_suspected(asked) else "up"
        self.send(src, Reply(command.session, command.sequence, "ok", status))


@dataclass(frozen=True, kw_only=True)
class HeartbeatDetectors(ReplicatedSystem):
    """Members that watch each other by heartbeats.

    Parameters
    ----------
    nodes:
        The number of members (>= 2), named n0, n1, ...
    detector:
        The rule of suspicion (`sim.protocols.membership.suspicion`).
    """

    nodes: Several = 5
    detector: Rule = field(default_factory=FixedTimeout)

    product_table: ClassVar[str] = "sim.protocols.membership.products"
    node_class: ClassVar[type[Node]] = MonitorNode
    outlives_minority: ClassVar[bool] = True
    operations: ClassVar[frozenset[str]] = frozenset({"get"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heartbeat is not None:
            self.detector.watch(0.0, self.heartbeat, self.detection_timeout)

    @property
    def max_clock_drift(self) -> float | None:
        """0.1: the observer's clock measures silence, and its rate has little effect."""
        return 0.1

    @property
    def client_class(self) -> type[Node]:
        return MembershipClient

    def invariants(self) -> Iterable[Invariant]:
        return (DetectorSafety(),)

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The members that suspect a live member."""
        monitors = [node for node in nodes.values() if isinstance(node, MonitorNode)]
        return tuple(m.name for m in monitors if any(s in nodes for s in m.detector.suspects))


@dataclass
class DetectorSafety(Invariant):
    """Suspicion requires silence while the observer was awake, and the level of suspicion grows with silence.

    - An observer suspects a peer only when the timeout (seconds on the observer's clock) has passed since it handled
      the peer's last heartbeat, and since the end of its own last pause of more than one heartbeat interval.
    - Between two heartbeats the level of a peer does not fall.
    - At the end, no observer trusts a peer whose deadline has passed.
    """

    def __post_init__(self) -> None:
        self.latest: dict[
            tuple[str, str], tuple[int, int]
        ] = {}  # (observer, peer) -> newest heartbeat handled
        self.since: dict[tuple[str, str], float] = {}  # its time on the observer's monotonic clock
        self.awake: dict[str, float] = {}  # observer -> its start, or the end of its last long pause
        self.paused: dict[str, float] = {}
        self.intervals: dict[str, float] = {}
        self.levels: dict[tuple[str, str], tuple[Any, float]] = {}  # (observer, peer) -> (last heard, level)
        self.hosts: dict[str, Any] = {}

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, Heartbeat):
            this = (message.incarnation, message.number)
            if this > self.latest.get((dst, src), (-1, 0)):
                self.latest[dst, src] = this
                self.since[dst, src] = self.hosts[dst].monotonic()

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if node not in self.hosts:  # a client
            return
        if event == "pause":
            self.paused[node] = self.hosts[node].monotonic()
        elif event == "resume":
            if self.hosts[node].monotonic() - self.paused[node] > self.intervals[node]:
                self.awake[node] = self.hosts[node].monotonic()
        elif event == "restart":
            self.awake.pop(node, None)  # its next incarnation has another monotonic clock
            self.latest = {pair: newest for pair, newest in self.latest.items() if pair[0] != node}
            self.since = {pair: time for pair, time in self.since.items() if pair[0] != node}
            self.levels = {pair: level for pair, level in self.levels.items() if pair[0] != node}
        elif event == "suspect":
            self.check_suspicion(node, detail["peer"], float(detail["timeout"]))

    def check_suspicion(self, observer: str, peer: str, timeout: float) -> None:
        """Check that the observer was awake and received no heartbeat of the peer for the timeout."""
        begun = max(self.awake[observer], self.since.get((observer, peer), -float("inf")))
        silence = self.hosts[observer].monotonic() - begun
        if silence < timeout - 1e-6:
            self.violated(
                observer,
                f"it suspects {peer} after {timeout:.6f} s of silence",
                f"it has listened for {silence:.6f} s since it last heard it, or woke up",
                invariant="suspicion needs silence that was listened to",
            )

    def on_step(self, node: Node) -> None:
        if not isinstance(node, MonitorNode):
            return
        self.hosts[node.name] = node.host
        self.intervals[node.name] = node.detector.interval
        now = node.monotonic
        self.awake.setdefault(node.name, now)
        for peer, watch in node.detector.watches.items():
            pair = (node.name, peer)
            level = watch.level(now)
            arrival = (self.latest.get(pair), watch.last)
            last, before = self.levels.get(pair, (arrival, level))
            if last == arrival and level < before - 1e-9:
                self.violated(
                    node.name,
                    f"it was at {before!r} about {peer}",
                    f"it is at {level!r}",
                    invariant="suspicion grows with silence",
                )
            self.levels[pair] = (arrival, level)

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for node in nodes.values():
            if not isinstance(node, MonitorNode) or node.host.is_paused:
                continue
            for peer, watch in node.detector.watches.items():
                late = node.monotonic - watch.deadline > PUNCTUAL
                if late and not node.detector.is_suspected(peer):
                    self.violated(
                        node.name,
                        f"{peer} was to be suspected at {watch.deadline:.6f} s on its clock",
                        f"it is {node.monotonic:.6f} s",
                        invariant="a silent member is suspected",
                    )
