"""Cheaper replication: fast backtracking, pipelining, batching.

Ongaro & Ousterhout 2014, section 5.3 (the conflicting term in a rejection); Ongaro's thesis, section 10.2.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.message import replace
from sim.node import message
from sim.protocols.client import Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.raft.node import AppendEntries, RaftNode

__all__ = ["AppendEntriesConflict", "Batching", "FastBacktracking", "MatchedLog", "Pipelining"]


@message
class AppendEntriesConflict:
    """A rejection of ``index`` with the term of the conflicting entry and the first index that the follower
    stores for that term; if its log is too short, term 0 and the index after its last."""

    term: int
    index: int
    conflict_term: int
    first_index: int


class FastBacktracking(RaftNode):
    """At most one rejected AppendEntries for each term with conflicting entries, not one for each entry (5.3)."""

    def refuse(self, src: str, previous: int) -> None:
        first, term, floor = self.last_index() + 1, 0, self.floor()
        if previous < first:
            first, term = previous, self.term_at(previous)
            while first - 1 > floor and self.term_at(first - 1) == term:
                first -= 1
        self.send(src, AppendEntriesConflict(self.current_term, previous, term, first))

    def on_append_entries_conflict(self, src: str, msg: AppendEntriesConflict) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        elif self.role != "leader" or msg.term < self.current_term:
            return
        else:
            matching = self.last_of_term(msg.conflict_term, msg.index)
            self.rejected(src, msg.index, matching + 1 if matching else msg.first_index)

    def last_of_term(self, term: int, before: int) -> int:
        """The index of the last entry of a term below index ``before`` in this log; 0: there is none."""
        index, floor = before - 1, self.floor()
        while index > floor and self.term_at(index) > term:
            index -= 1
        return index if term and index > floor and self.term_at(index) == term else 0


class MatchedLog(RaftNode):
    """A follower that remembers up to which index its log certainly matches the leader's (5.3, log matching)."""

    def on_start(self) -> None:
        self.matched = (0, 0)  # (term, index): in that term the log matches the leader's up to the index
        super().on_start()

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        super().on_append_entries(src, msg)
        last = msg.prev_log_index + len(msg.entries)
        term = msg.entries[-1].term if msg.entries else msg.prev_log_term
        if (
            msg.term == self.current_term
            and self.floor() <= last <= self.last_index()
            and self.term_at(last) == term
        ):
            self.matched = max(self.matched, (msg.term, last))


class Pipelining(RaftNode):
    """Each entry is sent once, without waiting for the acknowledgement of earlier ones (10.2.1).

    At most ``pipeline`` AppendEntries with entries are in flight to one follower. If one is lost or reordered, the
    follower rejects the later ones, and the leader restarts after the last entry known to match. The leader does
    the same if no acknowledgement arrives for a whole heartbeat interval.
    """

    def on_start(self) -> None:
        self.in_flight: dict[str, list[int]] = {}  # the last index of each message in flight
        self.overdue: dict[str, int] = {}  # the last index in flight at the last heartbeat
        self.repaired: dict[str, int] = {}  # rejections of messages below this index are outdated
        super().on_start()

    def track(self, follower: str) -> None:
        super().track(follower)
        self.in_flight[follower] = []
        self.overdue[follower] = self.repaired[follower] = 0

    def replicate(self, followers: Iterable[str]) -> None:
        """Send the unsent entries to each follower whose pipeline is not full."""
        made: dict[int, AppendEntries] = {}
        for follower in followers:
            under_way = self.in_flight[follower]
            if len(under_way) >= self.settings.pipeline:
                continue
            previous = under_way[-1] if under_way else self.next_index[follower] - 1
            request = made.get(previous)
            if request is None:
                request = made[previous] = self.append_entries(previous)
            self.sent_index[follower] = previous + len(request.entries)
            if request.entries:
                under_way.append(self.sent_index[follower])
            self.send(follower, request, hold=False)

    def on_heartbeat_timeout(self) -> None:
        for follower in self.peers:
            under_way = self.in_flight[follower]
            if under_way and under_way[0] <= self.overdue[follower]:
                under_way.clear()
            if under_way:  # an empty heartbeat, so that it cannot be rejected because of entries in flight
                previous = self.next_index[follower] - 1
                if previous >= self.floor():
                    self.send(follower, replace(self.append_entries(previous), entries=()), hold=False)
            self.overdue[follower] = under_way[-1] if under_way else 0
        self.set_timer("heartbeat", self.settings.heartbeat_interval)
        self.replicate([follower for follower in self.peers if not self.in_flight[follower]])

    def acknowledged(self, src: str, index: int) -> None:
        under_way = self.in_flight.get(src)
        if under_way:
            under_way[:] = [last for last in under_way if last > index]
        super().acknowledged(src, index)

    def rejected(self, src: str, index: int, next_index: int) -> None:
        probed = self.next_index[src] - 1
        if index == probed > self.match_index[src]:
            self.in_flight[src] = []
            super().rejected(src, index, next_index)
        elif index > probed >= self.floor() and index >= self.repaired[src]:
            self.in_flight[src] = []
            self.replicate((src,))
            self.repaired[src] = self.sent_index[src]


class Batching(RaftNode):
    """Commands that arrive within ``batch_wait`` seconds of each other, ``batch`` at most, are appended and
    replicated together (10.2.2)."""

    def on_start(self) -> None:
        self.batch: list[tuple[str, Command]] = []
        super().on_start()

    def on_request(self, src: str, msg: Request) -> None:
        if self.role != "leader" or self.store.known(msg.command) is not None:
            super().on_request(src, msg)
            return
        if not self.batch:
            self.set_timer("batch", self.settings.batch_wait)
        self.batch.append((src, msg.command))
        if len(self.batch) >= self.settings.batch:
            self.flush()

    def on_batch_timeout(self) -> None:
        self.flush()

    def flush(self) -> None:
        """Append the collected commands, and replicate them at once."""
        batch, self.batch = self.batch, []
        if not batch:
            return
        self.cancel_timer("batch")
        for client, command in batch[:-1]:
            self.log.append(self.entry(command))
            self.waiting[self.last_index()] = (client, command)
        client, command = batch[-1]
        self.waiting[self.append(command)] = (client, command)

    def append(self, command: Command) -> int:
        if command is NOOP or command.session < 0:
            self.flush()  # earlier commands are appended first
        return super().append(command)

    def become_follower(self, leader: str | None) -> None:
        batch, self.batch = self.batch, []
        super().become_follower(leader)
        for client, command in batch:
            self.redirect(client, command, self.leader)
