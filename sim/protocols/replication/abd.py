"""ABD: linearizable registers by read and write quorums, without consensus.

Attiya, Bar-Noy, Dolev, "Sharing Memory Robustly in Message-Passing Systems" (J. ACM 1995), for several writers
(Lynch & Shvartsman 1997). A write first asks a quorum for the highest timestamp, then stores its value under a higher
one. A read asks a quorum, and *writes back* the newest value that it saw before it returns this value, so that no later
read can miss it. The write-back is omitted if the replies show that a write quorum holds the value already.

Assumptions: servers keep everything that they have acknowledged (their map is on disk). The client coordinates.

Departures: none in the protocol. Each session is a writer, so that timestamps of different writers differ. Operations
report their timestamp (in the column ``result``).

Options. ``plan``: an operation asks only a quorum that is drawn from a `QuorumPlan` (Whittaker et al., PaPoC 2021), and
all servers when it is tried again. ``one_phase``: a write stores its value in one round, under the time of its client's
clock; a read returns the newest value of a read quorum, and writes nothing back. With clocks that agree such registers
are *regular*: a read sees the last complete write, or one under way. Two reads during a write may see it in turn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sim.invariants import Stored, promises
from sim.node import Node, durable_map, message
from sim.protocols.client import Client, Outcome, Pending, Reply
from sim.protocols.command import Command
from sim.protocols.quorum_plans import QuorumPlan
from sim.protocols.quorums import Explicit, QuorumSystem, as_quorums, refuse_disjoint
from sim.protocols.system import KEEPS_REGISTERS, ReplicatedSystem
from sim.system import Invariant

__all__ = ["Abd", "AbdClient", "AbdServer", "OnePhaseClient", "Query", "QueryReply", "Store", "StoreAck"]

Timestamp = tuple[float, int]
"""``(number, session)``: ordered by number, then by the writing session."""

ZERO: Timestamp = (0, -1)


@message
class Query:
    """Requests a server's newest value of a key."""

    session: int
    sequence: int
    key: str


@message
class QueryReply:
    """The newest value that the server holds, and its timestamp."""

    session: int
    sequence: int
    timestamp: Timestamp
    value: Any


@message
class Store:
    """Requests a server to store this value, unless it holds a newer one. ``size``: bytes beyond those of the value."""

    session: int
    sequence: int
    key: str
    timestamp: Timestamp
    value: Any
    size: int = 0


@message
class StoreAck:
    """The requested value, or a newer one, is on disk."""

    session: int
    sequence: int
    timestamp: Timestamp


class AbdServer(Node):
    """A server that keeps the newest value of each key."""

    registers = durable_map()  # key -> (timestamp, value)

    def on_query(self, src: str, msg: Query) -> None:
        timestamp, value = self.registers.get(msg.key, (ZERO, None))
        self.send(src, QueryReply(msg.session, msg.sequence, timestamp, value))

    def on_store(self, src: str, msg: Store) -> None:
        if msg.timestamp > self.registers.get(msg.key, (ZERO, None))[0]:
            self.registers[msg.key] = (msg.timestamp, msg.value)
        self.send(src, StoreAck(msg.session, msg.sequence, msg.timestamp))


class _Round:
    """The progress of an operation."""

    __slots__ = ("acks", "asked", "replies", "stored")

    def __init__(self, asked: Sequence[str]) -> None:
        self.asked = asked  # the servers that get the message of the present phase
        self.replies: dict[str, QueryReply] = {}
        self.stored: Store | None = None  # what the second phase stores; None in the first
        self.acks: dict[str, None] = {}


class AbdClient(Client):
    """A client that executes both phases itself, with all servers at once unless there is a plan."""

    def on_start(self) -> None:
        self.rounds: dict[int, _Round] = {}
        self.servers = self.settings.system.names
        self.is_read_quorum = as_quorums(self.settings.system.reads).over(self.servers)
        self.is_write_quorum = as_quorums(self.settings.system.writes).over(self.servers)
        super().on_start()

    def attempt(self, pending: Pending) -> None:
        """Begin an operation, or ask the servers that have not answered its current phase again."""
        command = pending.command
        pending.outcome.attempts += 1
        current = self.rounds.get(command.session)
        if current is None or pending.outcome.attempts == 1:
            current = self.rounds[command.session] = self.begin(command)
        else:
            current.asked = self.servers
        self.ask(command, current)
        self.set_timer("attempt", self.timeout, command.session)

    def begin(self, command: Command) -> _Round:
        """The first phase of an operation."""
        return _Round(self.drawn("reads"))

    def drawn(self, kind: Literal["reads", "writes"]) -> Sequence[str]:
        """The servers to ask at first."""
        plan: QuorumPlan | None = self.settings.system.plan
        return self.servers if plan is None else plan.draw(kind, self.random.random())

    def ask(self, command: Command, current: _Round) -> None:
        """Send the message of the current phase to those servers that have not answered it."""
        if current.stored is None:
            silent = [s for s in current.asked if s not in current.replies]
            self.broadcast(Query(command.session, command.sequence, command.key), to=silent)
        else:
            silent = [s for s in current.asked if s not in current.acks]
            self.broadcast(current.stored, to=silent)

    def on_attempt_timeout(self, session: int) -> None:
        pending = self.pending.get(session)
        if pending is not None:
            self.back_off(pending)

    def phase_of(self, msg: Any) -> tuple[Pending, _Round] | None:
        """The operation to which a reply belongs, and its progress; None: the operation is over."""
        pending = self.pending.get(msg.session)
        if pending is None or pending.command.sequence != msg.sequence:
            return None
        return pending, self.rounds[msg.session]

    def on_query_reply(self, src: str, msg: QueryReply) -> None:
        found = self.phase_of(msg)
        if found is None or found[1].stored is not None:
            return
        pending, current = found
        current.replies[src] = msg
        if self.is_read_quorum(current.replies):
            self.second_phase(src, pending.command, current)

    def second_phase(self, src: str, command: Command, current: _Round) -> None:
        """With a quorum of replies: store a new value, or write the newest one back, or return it at once."""
        newest = max(current.replies.values(), key=lambda reply: reply.timestamp)
        if command.kind == "get":
            if self.is_settled(newest.timestamp, current.replies):
                self.conclude(src, command, newest.timestamp, newest.value)
                return
            timestamp, value, size = newest.timestamp, newest.value, 0
        else:
            timestamp, value, size = (newest.timestamp[0] + 1, command.session), command.value, command.size
        current.stored = Store(command.session, command.sequence, command.key, timestamp, value, size)
        current.asked = self.drawn("writes")
        self.ask(command, current)

    def is_settled(self, timestamp: Timestamp, replies: dict[str, QueryReply]) -> bool:
        """Whether a write quorum is known to hold this timestamp, so every later read sees it or a newer one."""
        holders = [server for server, reply in replies.items() if reply.timestamp == timestamp]
        return timestamp == ZERO or self.is_write_quorum(holders)

    def on_store_ack(self, src: str, msg: StoreAck) -> None:
        found = self.phase_of(msg)
        if found is None or found[1].stored is None or found[1].stored.timestamp != msg.timestamp:
            return
        pending, current = found
        current.acks[src] = None
        if self.is_write_quorum(current.acks):
            assert current.stored is not None
            self.conclude(src, pending.command, current.stored.timestamp, current.stored.value)

    def conclude(self, src: str, command: Command, timestamp: Timestamp, value: Any) -> None:
        """Finish an operation successfully."""
        self.on_reply(src, Reply(command.session, command.sequence, "ok", value, timestamp))

    def finish(self, session: int, outcome: Outcome) -> None:
        del self.rounds[session]
        super().finish(session, outcome)


class OnePhaseClient(AbdClient):
    """A client whose writes need no query, and whose reads write nothing back."""

    def begin(self, command: Command) -> _Round:
        if command.kind == "get":
            return super().begin(command)
        current = _Round(self.drawn("writes"))
        timestamp = (self.pending[command.session].outcome.called, command.session)
        current.stored = Store(
            command.session, command.sequence, command.key, timestamp, command.value, command.size
        )
        return current

    def is_settled(self, timestamp: Timestamp, replies: dict[str, QueryReply]) -> bool:
        return True


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


@dataclass
class AbdSafety(Invariant):
    """A timestamp identifies one value; a server has stored what it acknowledges, and its timestamps only grow."""

    hears = (Store,)

    def __post_init__(self) -> None:
        self.values: dict[tuple[str, Timestamp], Any] = {}
        self.acked: dict[tuple[str, str], Timestamp] = {}
        self.asked: dict[tuple[int, int], str] = {}

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.asked[message.session, message.sequence] = message.key
        known = self.values.setdefault((message.key, message.timestamp), message.value)
        if known != message.value:
            self.violated(
                src,
                f"{message.timestamp} of {message.key} stood for {known!r}",
                f"{src} stores {message.value!r} under it",
                invariant="a timestamp names one value",
            )

    def is_stored(self, stored: Stored, ack: StoreAck, client: str) -> bool:
        """Whether every value that the server has acknowledged, or a newer one, would survive a crash now."""
        key = self.asked[ack.session, ack.sequence]
        acked = (stored.node.name, key)
        self.acked[acked] = max(self.acked.get(acked, ZERO), ack.timestamp)
        held: Timestamp = stored("registers").get(key, (ZERO, None))[0]
        return held >= self.acked[acked]


@dataclass
class AbdAtomic(Invariant):
    """Timestamps respect the real-time order of operations (Lynch, Distributed Algorithms, lemma 13.16).

    An operation called after another had returned has at least the other's timestamp; a write has a higher one.
    """

    title: ClassVar[str] = "timestamps follow the order of operations"

    def __post_init__(self) -> None:
        self.returned: dict[str, list[float]] = {}  # key -> times at which its operations returned, in order
        self.newest: dict[
            str, list[Timestamp]
        ] = {}  # key -> the highest timestamp returned by each of these times

    def on_acknowledged(self, client: str, operation: Any) -> None:
        key, timestamp = operation.operation.key, operation.result
        returned, newest = self.returned.setdefault(key, []), self.newest.setdefault(key, [])
        earlier = bisect_left(returned, operation.called)
        before = newest[earlier - 1] if earlier else (0, -2)
        is_write = operation.operation.kind != "get"
        if timestamp < before or (is_write and timestamp == before):
            self.violated(
                (client,),
                f"{before} of {key} had been returned by {returned[earlier - 1]:.6f} s",
                f"a {operation.operation.kind} called at {operation.called:.6f} s has {timestamp}",
            )
        returned.append(operation.returned)
        newest.append(max(timestamp, newest[-1]) if newest else timestamp)
