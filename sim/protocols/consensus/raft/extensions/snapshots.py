"""Log compaction: snapshots and InstallSnapshot.

Ongaro & Ousterhout 2014, section 7 and figure 13; Ongaro's thesis, chapter 5. Client sessions are part of the
state, and therefore of the snapshot (thesis, 6.3). Departures: a snapshot is sent as one message, not in chunks; the
log keeps the entries since the last snapshot but one, so that followers that are slightly behind need no snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sim.message import replace
from sim.node import durable, message
from sim.protocols.consensus.raft.node import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    RaftNode,
)

__all__ = ["InstallSnapshot", "Snapshot", "Snapshots"]


@message
class Snapshot:
    """The state after all entries up to ``index``, whose term is ``term``, and the latest configuration among them."""

    index: int = 0
    term: int = 0
    state: tuple[Any, ...] = ()
    config: Any = None


@message
class InstallSnapshot:
    """Invoked by the leader to send a snapshot to a follower (figure 13)."""

    term: int
    leader: str
    snapshot: Snapshot


class Snapshots(RaftNode):
    """A server that takes a snapshot of its state every ``snapshot_every`` entries."""

    snapshot = durable(Snapshot())
    beginning = durable((0, 0))  # index and term of the entry before the first that the log holds

    def on_start(self) -> None:
        self.snapshot_sent: dict[str, float] = {}  # follower -> time (s) of the last InstallSnapshot
        super().on_start()
        if self.snapshot.index:
            self.restore(self.snapshot)

    def restore(self, snapshot: Snapshot) -> None:
        """Reset the state machine using snapshot contents."""
        self.store.restore(snapshot.state)
        self.commit_index = self.last_applied = snapshot.index

    # The log, whose first entries may have been discarded

    def floor(self) -> int:
        return self.beginning[0]

    def last_index(self) -> int:
        return self.beginning[0] + len(self.entries)

    def term_at(self, index: int) -> int:
        floor, term = self.beginning
        return term if index == floor else self.entries[index - floor - 1].term

    def entry_at(self, index: int) -> Entry:
        return self.entries[index - self.beginning[0] - 1]

    def entries_from(self, index: int) -> tuple[Entry, ...]:
        at = index - self.beginning[0] - 1
        return tuple(self.entries[at : at + self.window])

    def truncate_from(self, index: int) -> None:
        self.log.truncate(index - self.beginning[0] - 1)

    def discard_until(self, index: int) -> None:
        """Discard the entries up to ``index``."""
        floor = self.beginning[0]
        if index > floor:
            term = self.term_at(index)
            self.log.discard(index - floor)
            self.beginning = (index, term)

    # Taking a snapshot

    def apply_committed(self) -> None:
        super().apply_committed()
        if self.last_applied - self.snapshot.index >= self.settings.snapshot_every:
            self.take_snapshot()

    def take_snapshot(self) -> None:
        """Write the current state to stable storage, then discard the log (up to the previous snapshot)."""
        keep_from = self.snapshot.index
        index = self.last_applied
        self.snapshot = Snapshot(index, self.term_at(index), self.state(), self.config_at(index))
        self.discard_until(keep_from)

    def state(self) -> tuple[Any, ...]:
        """The whole state of the state machine, sessions included."""
        return self.store.snapshot()

    def config_at(self, index: int) -> Any:
        """The latest configuration up to ``index``; None: the first one."""
        return None

    # Sending a snapshot

    def track(self, follower: str) -> None:
        super().track(follower)
        self.snapshot_sent.pop(follower, None)

    def replicate(self, followers: Iterable[str]) -> None:
        """Send the snapshot to followers whose next entry has been discarded (section 7)."""
        floor = self.floor()
        able = []
        for follower in followers:
            if self.next_index[follower] > floor:
                able.append(follower)
            else:
                self.send_snapshot(follower)
        super().replicate(able)

    def send_snapshot(self, follower: str) -> None:
        """Send the snapshot, and repeat it after an election timeout without an answer; meanwhile send heartbeats."""
        sent = self.snapshot_sent.get(follower, -float("inf"))
        self.sent_index[follower] = self.snapshot.index
        if self.monotonic - sent >= self.settings.detection_timeout:
            self.snapshot_sent[follower] = self.monotonic
            message = InstallSnapshot(self.current_term, self.name, self.snapshot)
            self.send(follower, message, hold=False)
        else:
            floor, term = self.beginning
            beat = AppendEntries(self.current_term, self.name, floor, term, (), self.commit_index)
            self.send(follower, beat, hold=False)

    def acknowledged(self, src: str, index: int) -> None:
        if index >= self.floor():
            self.snapshot_sent.pop(src, None)
        super().acknowledged(src, index)

    # Receiving a snapshot, or entries that it contains

    def on_install_snapshot(self, src: str, msg: InstallSnapshot) -> None:
        snapshot = msg.snapshot
        if msg.term < self.current_term:  # 1. Reply immediately if term < currentTerm
            self.send(src, AppendEntriesReply(self.current_term, False, snapshot.index))
            return
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        self.follow(msg.leader)
        if snapshot.index > self.commit_index:
            self.install(snapshot)
        self.send(src, AppendEntriesReply(self.current_term, True, snapshot.index))

    def install(self, snapshot: Snapshot) -> None:
        """6. If existing log entry has same index and term as snapshot's last included entry, retain log
        entries following it. 7. Else discard the entire log. 8. Reset the state machine."""
        if self.has(snapshot.index, snapshot.term):
            self.discard_until(snapshot.index)
        else:
            self.log.reset(())
            self.beginning = (snapshot.index, snapshot.term)
        self.snapshot = snapshot
        self.restore(snapshot)
        self.apply_committed()  # hooks that run after applying need not wait for the next commit

    def has(self, index: int, term: int) -> bool:
        """Whether the log holds an entry of this index and term."""
        return self.floor() <= index <= self.last_index() and self.term_at(index) == term

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        floor, term = self.beginning
        if msg.prev_log_index < floor and msg.term >= self.current_term:
            # The message's entries up to the snapshot are committed, and need not be compared.
            skip = floor - msg.prev_log_index
            msg = replace(msg, prev_log_index=floor, prev_log_term=term, entries=msg.entries[skip:])
        super().on_append_entries(src, msg)
