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
``values="nearest"``: values come from the nearest server, from the others only timestamps (`nearest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sim.protocols.client import Client, Outcome, Pending, Reply
from sim.protocols.command import Command
from sim.protocols.quorum_plans import QuorumPlan
from sim.protocols.quorums import as_quorums
from sim.protocols.replication.abd.messages import (
    ZERO,
    Query,
    QueryReply,
    Store,
    StoreAck,
    Timestamp,
    VersionReply,
)

__all__ = ["AbdClient", "AbdRound", "OnePhaseClient"]


class AbdRound:
    """The progress of an operation."""

    __slots__ = ("acks", "asked", "copy", "nearest", "replies", "source", "stored", "value")

    def __init__(self, asked: Sequence[str]) -> None:
        self.asked = asked  # the servers that get the message of the present phase
        self.replies: dict[str, VersionReply] = {}
        self.stored: Store | None = None  # what the second phase stores; None in the first
        self.acks: dict[str, None] = {}
        # Of `NearestValueClient`: the server that is asked for its value; None: all are
        self.nearest: str | None = None
        self.copy: QueryReply | None = None  # what it has answered
        self.source: str | None = None  # the server that is asked because the nearest is not current
        self.value: QueryReply | None = None  # the current value


class AbdClient(Client):
    """A client that executes both phases itself, with all servers at once unless there is a plan."""

    def on_start(self) -> None:
        self.rounds: dict[int, AbdRound] = {}
        system = self.settings.system
        self.servers: tuple[str, ...] = system.servers
        self.is_read_quorum = as_quorums(system.reads).over(system.names)
        self.is_write_quorum = as_quorums(system.writes).over(system.names)
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

    def begin(self, command: Command) -> AbdRound:
        """The first phase of an operation."""
        return AbdRound(self.drawn("reads"))

    def drawn(self, kind: Literal["reads", "writes"]) -> Sequence[str]:
        """The servers to ask at first."""
        plan: QuorumPlan | None = self.settings.system.plan
        return self.servers if plan is None else plan.draw(kind, self.random.random())

    def ask(self, command: Command, current: AbdRound) -> None:
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

    def phase_of(self, msg: Any) -> tuple[Pending, AbdRound] | None:
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

    def second_phase(self, src: str, command: Command, current: AbdRound) -> None:
        """With a quorum of replies: store a new value, or write the newest one back, or return it at once."""
        newest = self.newest(current)
        if command.kind == "get":
            assert isinstance(newest, QueryReply)
            if self.is_settled(newest.timestamp, current.replies):
                self.conclude(src, command, newest.timestamp, newest.value)
                return
            timestamp, value, size = newest.timestamp, newest.value, newest.size
        else:
            timestamp, value, size = (newest.timestamp[0] + 1, command.session), command.value, command.size
        current.stored = Store(command.session, command.sequence, command.key, timestamp, value, size)
        current.asked = self.stores_at(current)
        self.ask(command, current)

    def newest(self, current: AbdRound) -> VersionReply:
        """The reply with the highest timestamp."""
        return max(current.replies.values(), key=lambda reply: reply.timestamp)

    def stores_at(self, current: AbdRound) -> Sequence[str]:
        """The servers that the second phase asks at first."""
        return self.drawn("writes")

    def is_settled(self, timestamp: Timestamp, replies: Mapping[str, VersionReply]) -> bool:
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

    def begin(self, command: Command) -> AbdRound:
        if command.kind == "get":
            return super().begin(command)
        current = AbdRound(self.drawn("writes"))
        timestamp = (self.pending[command.session].outcome.called, command.session)
        current.stored = Store(
            command.session, command.sequence, command.key, timestamp, command.value, command.size
        )
        return current

    def is_settled(self, timestamp: Timestamp, replies: Mapping[str, VersionReply]) -> bool:
        return True
