"""LeaseGuard: the log is the lease.

Davis, Demirbas, Deng, "LeaseGuard: Raft Leases Done Right" (SIGMOD 2026, arXiv 2512.15659). A leader writes the time
into each entry. A committed entry is a lease for ``lease`` seconds (the paper's Delta) from that time: the leader
answers reads from its state while its newest committed entry is younger. There are no messages and no votes for leases.
A new leader has all committed entries in its log (leader completeness), so it knows until when an old leader may answer
reads, and commits nothing before. This is safe if each wall clock errs by at most ``clock_error`` seconds (the paper's
intervalNow). Two mechanisms make a change of leader short:

- *Deferred commit*: the new leader accepts and replicates writes at once, and commits them when the old lease is over.
- *Inherited reads*: until then it answers reads under the old lease, too. Only the entries after its commit index at
  its election, the *limbo region*, may or may not have been committed by the old leader; keys that they touch must
  wait.

Decisions that the paper leaves open: a read that cannot be answered waits for the lease; if nothing is under way that
renews it, the leader appends a no-op (the paper's optimisation for loads of reads). Without deferred commits, a new
leader refuses writes until the old lease is over. The entry by which a leader gives its lease up before a planned
change is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.node import message
from sim.protocols.client import Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.raft.node import Entry, RaftNode

__all__ = ["LeaseGuard", "TimedEntry"]


@message
class TimedEntry(Entry):
    """An entry with the time (seconds) on its leader's wall clock at which it was created."""

    created: float = 0.0


class LeaseGuard(RaftNode):
    """Reads cost no messages while the newest committed entry is young; elections are as before."""

    def on_start(self) -> None:
        self.leased_from = -float("inf")  # when the newest entry that this server saw committed was created
        self.old_lease_until = -float("inf")  # on this server's wall clock, when it is latest
        self.limbo: frozenset[str] | None = frozenset()  # keys that the limbo region touches; None: all
        self.reading: list[tuple[str, Command]] = []  # reads that wait for a lease
        super().on_start()

    def entry(self, command: Command) -> Entry:
        return TimedEntry(self.current_term, command, 16 + command.wire_bytes, self.now)

    # Leases

    def is_leased(self) -> bool:
        """Whether the newest committed entry was certainly created less than a lease ago."""
        error = self.settings.clock_error
        return bool(self.now + error < self.leased_from - error + self.settings.lease_duration)

    def may_commit(self) -> bool:
        """Whether all entries of earlier terms were certainly created more than a lease ago."""
        return self.now > self.old_lease_until

    def become_leader(self) -> None:
        """Find out when the old lease ends: the last entry was created after all others."""
        last = self.last_index()
        self.old_lease_until = self.end_of_lease(last) if last else -float("inf")
        self.limbo = self.touched_by(self.entry_at(i).command for i in range(self.commit_index + 1, last + 1))
        super().become_leader()

    def end_of_lease(self, index: int) -> float:
        """The time on this server's wall clock at which a lease by that entry is certainly over."""
        entry = self.entry_at(index) if index > self.floor() else None
        created = self.now if entry is None else entry.created  # type: ignore[attr-defined]
        return float(created + self.settings.lease_duration + 2 * self.settings.clock_error)

    def touched_by(self, commands: Iterable[Command]) -> frozenset[str] | None:
        """The keys that these commands touch; None: all."""
        keys: set[str] = set()
        for command in commands:
            if command.session >= 0:
                touched = self.store.application.touches(command)
                if touched is None:
                    return None
                keys |= touched
        return frozenset(keys)

    # Deferred commit

    def advance_commit_index(self) -> None:
        if self.may_commit():
            super().advance_commit_index()
        else:
            self.await_old_lease()

    def await_old_lease(self) -> None:
        """Look again when the old lease is over; a microsecond later, because the two clocks differ by rounding."""
        self.set_timer("old_lease", max(self.old_lease_until - self.now, 0.0) + 1e-6)

    def on_old_lease_timeout(self) -> None:
        if self.role == "leader":
            self.advance_commit_index()

    def on_request(self, src: str, msg: Request) -> None:
        if self.role != "leader":
            super().on_request(src, msg)
        elif msg.command.kind in self.store.reads:
            self.read(src, msg.command)
        elif self.settings.deferred_commit or self.may_commit():
            super().on_request(src, msg)
        else:
            self.redirect(src, msg.command, None)

    # Reads

    def read(self, client: str, command: Command) -> None:
        """Answer from the state, or wait until an entry is committed."""
        if self.may_read(command):
            self.answer(client, command, self.store.execute(command))
            return
        self.reading.append((client, command))
        if self.last_index() == self.commit_index:  # else an entry is under way, and renews the lease
            self.append(NOOP)

    def may_read(self, command: Command) -> bool:
        """Whether the state has all that any leader may have acknowledged about the keys of a read."""
        if not self.is_leased():
            return False
        if self.term_at(self.commit_index) == self.current_term:
            return True
        return self.settings.inherited_reads and not self.is_in_limbo(command)

    def is_in_limbo(self, command: Command) -> bool:
        """Whether an entry of the limbo region touches a key of a read."""
        keys = self.store.application.touches(command)
        if self.limbo is None:
            return True
        return bool(self.limbo) and (keys is None or not self.limbo.isdisjoint(keys))

    def apply_committed(self) -> None:
        if self.commit_index > self.last_applied:
            self.leased_from = self.entry_at(self.commit_index).created  # type: ignore[attr-defined]
        super().apply_committed()
        if self.reading and self.role == "leader":
            reading, self.reading = self.reading, []
            for client, command in reading:
                self.read(client, command)

    def become_follower(self, leader: str | None) -> None:
        reading, self.reading = self.reading, []
        super().become_follower(leader)
        for client, command in reading:
            self.redirect(client, command, self.leader)
