"""Reads that bypass the log: ReadIndex, leases, reads at followers; and stale reads, for comparison.

Ongaro's thesis, section 6.4. A linearizable read must see every write that was acknowledged before the read was
requested. A read through the log costs as much as a write. Here the leader saves its commit index (the *read
index*), confirms that it still leads, and answers when that index is applied.
"""

from __future__ import annotations

from typing import Any

from sim.node import message
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.raft.extensions.elections import Stickiness
from sim.protocols.consensus.raft.extensions.replication import MatchedLog
from sim.protocols.consensus.raft.node import RaftNode

__all__ = [
    "FollowerReads",
    "LeaseReads",
    "NearestReader",
    "ReadHeartbeat",
    "ReadHeartbeatReply",
    "ReadIndex",
    "ReadIndexReply",
    "ReadIndexRequest",
    "StaleReads",
]


@message
class ReadHeartbeat:
    """Asks whether the receiver still follows this leader; heartbeat number ``round`` of the term."""

    term: int
    leader: str
    round: int


@message
class ReadHeartbeatReply:
    """The sender still follows if ``term`` is the leader's term. ``round``: the heartbeat's; 0 if its term is over."""

    term: int
    round: int


@message
class ReadIndexRequest:
    """A follower asks the leader for a read index, for a read of one of its clients."""

    session: int
    sequence: int


@message
class ReadIndexReply:
    """The read index: entries up to ``index`` must be applied before the read. None: the sender does not lead."""

    term: int
    session: int
    sequence: int
    index: int | None


Asked = tuple[
    str, Any
]  # a waiting node and its request: a client's Command, or a follower's ReadIndexRequest


class ReadIndex(RaftNode):
    """A read costs a round of heartbeats, and no write to the log (6.4)."""

    def on_start(self) -> None:
        self.round = 0
        self.rounds_heard: dict[str, int] = {}  # follower -> the last round that it has answered
        self.confirmed = 0  # the last round that a majority has answered
        self.early: list[Asked] = []  # requested before this term has committed an entry
        self.reading: list[tuple[int, int, Asked]] = []  # (round, read index, request)
        super().on_start()

    def on_request(self, src: str, msg: Request) -> None:
        if msg.command.kind in self.store.reads and self.role == "leader":
            self.read((src, msg.command))
        else:
            super().on_request(src, msg)

    def read(self, asked: Asked) -> None:
        """1. If the leader has not yet marked an entry from its current term committed, it waits until it has
        done so. 2. It saves its current commit index. 3. It issues a new round of heartbeats."""
        if not self.has_committed_in_term():
            self.early.append(asked)
            return
        self.begin_round()
        self.reading.append((self.round, self.commit_index, asked))
        self.confirm()

    def has_committed_in_term(self) -> bool:
        """Whether an entry of this term is committed, so the commit index covers all commits of earlier leaders."""
        return self.term_at(self.commit_index) == self.current_term

    def begin_round(self) -> None:
        """Begin a new round of heartbeats: ask all voters whether they still follow."""
        self.round += 1
        self.ask_round()

    def ask_round(self) -> None:
        beat = ReadHeartbeat(self.current_term, self.name, self.round)
        self.broadcast(beat, to=self.electors(), hold=False)

    def on_read_heartbeat(self, src: str, msg: ReadHeartbeat) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        if msg.term == self.current_term:
            self.follow(msg.leader)
        # Rounds are counted in each term: one of an earlier term says nothing, even if its leader leads again by now.
        heard = msg.round if msg.term == self.current_term else 0
        self.send(src, ReadHeartbeatReply(self.current_term, heard))

    def on_read_heartbeat_reply(self, src: str, msg: ReadHeartbeatReply) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        elif self.role != "leader" or msg.term < self.current_term:
            return
        elif msg.round > self.rounds_heard.get(src, 0):
            self.rounds_heard[src] = msg.round
            self.confirm()

    def confirm(self) -> None:
        """Serve the reads whose round a majority has answered: no other server led when the round began."""
        answered = {self.name: self.round, **self.rounds_heard}
        for number in sorted(answered.values(), reverse=True):
            if self.is_quorum({name for name, heard in answered.items() if heard >= number}):
                self.confirmed = max(self.confirmed, number)
                break
        while self.reading and self.reading[0][0] <= self.confirmed:
            _, index, asked = self.reading.pop(0)
            self.serve(index, asked)

    def serve(self, index: int, asked: Asked) -> None:
        """4. The state machine has advanced at least as far as the read index. 5. Reply (6.4)."""
        client, command = asked
        if isinstance(command, Command):
            self.answer(client, command, self.store.execute(command))

    def apply_committed(self) -> None:
        super().apply_committed()
        if self.early and self.role == "leader" and self.has_committed_in_term():
            early, self.early = self.early, []
            for asked in early:
                self.read(asked)

    def on_heartbeat_timeout(self) -> None:
        super().on_heartbeat_timeout()
        if self.reading:
            self.ask_round()  # answers to the latest round confirm all earlier ones

    def become_leader(self) -> None:
        self.round = self.confirmed = 0
        self.rounds_heard = {}
        super().become_leader()

    def become_follower(self, leader: str | None) -> None:
        waiting = [*self.early, *(asked for _, _, asked in self.reading)]
        self.early, self.reading = [], []
        super().become_follower(leader)
        for asked in waiting:
            self.turn_away(asked)

    def turn_away(self, asked: Asked) -> None:
        """Redirect a read, because this server no longer leads."""
        client, command = asked
        if isinstance(command, Command):
            self.redirect(client, command, self.leader)


class LeaseReads(Stickiness, ReadIndex):
    """Reads cost no messages between servers while the leader holds a lease (6.4.1).

    The lease runs from the time at which a round of heartbeats *was sent* that a majority has answered. Each of
    these servers votes for no other server for the minimum election timeout after it (`Stickiness`). The lease is
    shorter than that timeout by the possible drift of clocks. After a leader has sent TimeoutNow, it does not rely
    on leases in that term.
    """

    def on_start(self) -> None:
        self.lease_until = -float("inf")  # on its monotonic clock
        self.round_began: dict[int, float] = {}
        super().on_start()

    def holds_lease(self) -> bool:
        """Whether the lease guarantees that no other server has been elected."""
        return self.monotonic < self.lease_until and getattr(self, "handed_over", 0) != self.current_term

    def read(self, asked: Asked) -> None:
        if self.holds_lease() and self.has_committed_in_term():
            self.serve(self.commit_index, asked)
        else:
            super().read(asked)

    def begin_round(self) -> None:
        self.round_began[self.round + 1] = self.monotonic
        super().begin_round()

    def confirm(self) -> None:
        before = self.confirmed
        super().confirm()
        if self.confirmed > before:
            began = self.round_began[self.confirmed]
            self.lease_until = max(self.lease_until, began + self.settings.lease_duration)
            for number in range(before + 1, self.confirmed + 1):
                self.round_began.pop(number, None)

    def become_leader(self) -> None:
        self.lease_until = -float("inf")
        self.round_began = {}
        super().become_leader()
        self.begin_round()

    def on_heartbeat_timeout(self) -> None:
        super().on_heartbeat_timeout()
        self.begin_round()


class FollowerReads(MatchedLog, ReadIndex):
    """Any server serves reads: it asks the leader for the read index, and waits until that is applied (6.4)."""

    def on_start(self) -> None:
        self.asked: dict[int, Asked] = {}  # session -> a read whose read index was requested
        self.lagging: list[tuple[int, Asked]] = []  # (read index, a read that waits for it to be applied)
        super().on_start()

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if command.kind not in self.store.reads or self.role == "leader" or self.leader is None:
            super().on_request(src, msg)
            return
        self.asked[command.session] = (src, command)
        self.send(self.leader, ReadIndexRequest(command.session, command.sequence), hold=False)

    def on_read_index_request(self, src: str, msg: ReadIndexRequest) -> None:
        if self.role == "leader":
            self.read((src, msg))
        else:
            self.turn_away((src, msg))

    def serve(self, index: int, asked: Asked) -> None:
        follower, request = asked
        if isinstance(request, ReadIndexRequest):
            self.send(follower, ReadIndexReply(self.current_term, request.session, request.sequence, index))
        else:
            super().serve(index, asked)

    def turn_away(self, asked: Asked) -> None:
        follower, request = asked
        if isinstance(request, ReadIndexRequest):
            self.send(follower, ReadIndexReply(self.current_term, request.session, request.sequence, None))
        else:
            super().turn_away(asked)

    def on_read_index_reply(self, src: str, msg: ReadIndexReply) -> None:
        client, command = self.asked.get(msg.session, ("", None))
        if command is None or command.sequence != msg.sequence:
            return
        del self.asked[msg.session]
        if msg.index is None:
            self.redirect(client, command, self.leader)
            return
        term, matched = self.matched
        if term == msg.term == self.current_term and self.commit_index < min(msg.index, matched):
            self.commit_index = min(msg.index, matched)  # entries up to the read index are committed
            self.apply_committed()
        if self.last_applied >= msg.index:
            self.answer(client, command, self.store.execute(command))
        else:
            self.lagging.append((msg.index, (client, command)))

    def apply_committed(self) -> None:
        super().apply_committed()
        if self.lagging:
            ready = [asked for index, asked in self.lagging if index <= self.last_applied]
            self.lagging = [(index, asked) for index, asked in self.lagging if index > self.last_applied]
            for client, command in ready:
                self.answer(client, command, self.store.execute(command))


class StaleReads(RaftNode):
    """Any server answers reads from its own state at once; cheap, but not linearizable."""

    def on_request(self, src: str, msg: Request) -> None:
        if msg.command.kind in self.store.reads:
            self.answer(src, msg.command, self.store.execute(msg.command))
        else:
            super().on_request(src, msg)


class NearestReader(Client):
    """A client that reads at the nearest server, leader or not."""

    def target(self, command: Command, attempt: int) -> str:
        if command.kind in self.settings.system.application.reads:
            return self.contact()
        return super().target(command, attempt)

    def learn(self, src: str, msg: Reply) -> None:
        if self.pending[msg.session].command.kind not in self.settings.system.application.reads:
            super().learn(src, msg)
