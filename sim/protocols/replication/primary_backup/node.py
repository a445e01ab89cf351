"""Primary-backup replication (master-slave): one primary orders all commands and ships its log to the backups.

Alsberg & Day, "A principle for resilient sharing of distributed resources", ICSE 1976; Budhiraja, Marzullo,
Schneider & Toueg, "The primary-backup approach", in Distributed Systems (ed. Mullender), 1993; views and their
service as in MIT 6.824 lab 2 (`sim.protocols.membership.views.service`).

A command takes effect, and is acknowledged, when it is on the disk of the primary and of

- ``sync``: every backup of the view;
- ``semi-sync``: ``acks`` backups (MySQL's rpl_semi_sync_wait_for_replica_count); with a ``fallback`` time, after
  which the primary continues alone, as in MySQL, but marks its replies (`Unreplicated`);
- ``async``: no other replica. Entries that a failed primary had not shipped are lost.

The log is shipped by position (`sim.protocols.replication.shipped_log`); a backup cuts off only what contradicts
the primary's log, never entries that it only does not know to be committed (Kafka, KIP-101).

Fencing, that is, why an old primary acknowledges nothing after a new view has begun:

- sync: a write needs all backups of its view, and a read is confirmed by all of them in its view; the new primary
  was one of them, and a backup that knows a newer view refuses the old one. No clock is involved.
- semi-sync: the same with ``acks`` backups, as the view service has all but ``acks - 1`` of them refuse the old
  view before it promotes the most advanced.
- async, and the fallback: no other replica is asked, so the primary answers only under a lease of the view service.

Assumptions: crash faults; stable storage; where a lease is used, bounded clock rates. Departure: a view does not
stall while a recovering member is brought up to date; it becomes a backup, in the next view, once it has caught up.

The replicas are here; what a user calls is `sim.protocols.replication.primary_backup.system.PrimaryBackup`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sim.message import message
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.departures import Departures
from sim.protocols.membership.views import LEASE, Ping, Seal, Sealed, View, ViewIs
from sim.protocols.replication.primary_backup.log_shipping import AppendOk, LogShipping
from sim.protocols.replication.shipped_log import Entry

if TYPE_CHECKING:
    from sim.protocols.replication.primary_backup.system import PrimaryBackup

__all__ = ["PrimaryBackupNode", "Unreplicated"]


@message
class Unreplicated:
    """A reply's ``result`` if the primary continued without its backups: a failover may lose the write."""

    result: Any = None


class PrimaryBackupNode(LogShipping):
    """A replica: primary of its view, backup in it, or outside of it and catching up."""

    settings: PrimaryBackup

    def on_start(self) -> None:
        self.recover()
        self.role, self.primary, self.view = "backup", None, None
        self.reads: list[tuple[int, str, Command]] = []  # (probe that confirms it, client, command)
        self.probe = 0
        self.lease_until = self.monotonic
        self.departures = Departures(self, self._detection)
        self.leased = False
        self.start_reading()
        if self.incarnation == 0 and self.view_number == 0:
            self._begin_first_view()
        else:
            self.record("role", role="backup", view=self.view_number)
        self.on_heartbeat_timeout()

    def _begin_first_view(self) -> None:
        """The first view is configuration, and all its logs are empty: nothing needs to be transferred."""
        first = self.settings.first_view
        self.lease_until = (
            self.monotonic + LEASE * self._detection
        )  # the service counts from its own start, too
        if first.primary == self.name:
            self._lead(first)
            self.match = dict.fromkeys(self.members, 0)
            self.streaming = dict.fromkeys(self.peers, True)
        else:
            self.log_view = first.number
            self.follow(first.number, first.primary)

    @property
    def _detection(self) -> float:
        timeout: float = self.settings.detection_timeout
        return timeout

    # Views

    def on_view_is(self, src: str, msg: ViewIs) -> None:
        view = msg.view
        if view.number > self.view_number:
            if view.primary != self.name:
                self.follow(view.number, view.primary)
            elif not self._may_lead(view):
                self.follow(view.number, None)
            else:
                self._grant_lease(msg)
                self._lead(view)
                for peer in self.peers:
                    self.ship(peer)
                if not self.leased:
                    self._ping()  # the answer brings a lease
        elif view.number == self.view_number:
            self._grant_lease(msg)
            if self.role == "primary" and not self.leased:
                self.leased = self._may_answer()
                self.advance()
            if view.primary != self.name:
                self.primary = view.primary

    def _may_lead(self, view: View) -> bool:
        """Whether this replica has not lost its disk since what the view builds upon, or since the view itself."""
        self._notice_an_empty_disk(view.number)
        if self.log_view == 0:
            return view.begins and view.number > self.distrusted
        return self.log_view >= view.after

    def _notice_an_empty_disk(self, view: int) -> None:
        if self.view_number == 0 and self.incarnation > 0:
            self.distrusted = view

    def _grant_lease(self, msg: ViewIs) -> None:
        asked = None if msg.asked is None else self.departures.time_of(msg.asked)
        if asked is not None:
            self.lease_until = max(self.lease_until, asked + LEASE * self._detection)

    def _lead(self, view: View) -> None:
        """Become the primary of a view (again)."""
        again = self.role == "primary"
        known = self.match if again else {}
        self.role, self.primary, self.view = "primary", self.name, view
        self.view_number = self.log_view = view.number
        self.synced = False  # all backups of the view hold the whole log
        self.leased = self._may_answer()  # has been allowed to answer in this view
        self.alone = False  # semi-sync has fallen back to async
        self.begin_shipping(known)
        self.goal = self.start  # an outsider that has got here has caught up
        self.fallbacks: deque[tuple[float, int]] = deque()  # (when to go on alone, position)
        self.probe += 1
        self.reads = [(self.probe, client, command) for _, client, command in self.reads]
        self.record("role", role="primary", view=view.number)
        if not again:
            self.record("elected", view=view.number)
        self.send(self.name, AppendOk(view.number, self.start, self.probe))

    def follow(self, view: int, primary: str | None) -> None:
        """Become, or remain, a backup in a newer view."""
        self._notice_an_empty_disk(view)
        self.view_number = view
        if self.role == "primary":
            self.resign()
        else:
            self.record("role", role="backup", view=view)
        self.primary = primary

    def resign(self) -> None:
        """Stop acting as primary in this view, and redirect clients."""
        if self.role != "primary":
            return
        self.role, self.primary, self.view = "backup", None, None
        self.record("role", role="backup", view=self.view_number)
        self.redirect_all()
        for _, client, command in self.reads:
            self.redirect(client, command)
        self.reads.clear()

    def _may_answer(self) -> bool:
        """Whether no other replica can have become primary without this one's knowledge."""
        return not self.settings.needs_lease or self.monotonic < self.lease_until

    def on_seal(self, src: str, msg: Seal) -> None:
        """The service looks for a new primary: promise to follow no older view, and report the log's end."""
        if msg.view > self.view_number:
            self.sealed = max(self.sealed, msg.view)
            self.resign()
            self.send(src, Sealed(msg.view, self.log_view, self.last))

    # Commands

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        barred = self.role == "primary" and not self._may_answer()
        if barred and self.leased:
            self.resign()
        if command.kind in self.store.reads and self.may_read_here():
            self.answer(src, command, self.store.execute(command))
        elif self.role != "primary" or barred:
            primary = None if barred else self.primary
            self.redirect(src, command, primary)
        elif command.kind in self.store.reads:
            self._read(src, command)
        else:
            self._write(src, command)

    def _write(self, client: str, command: Command) -> None:
        if self.begins(client, command):
            self.log.append(Entry(self.view_number, command))
            for peer in self.peers:
                if self.streaming[peer]:
                    self.ship(peer)
            self.send(self.name, AppendOk(self.view_number, self.last, self.probe))
            if self.settings.fallback is not None and not self.alone:
                self._be_patient()

    def _read(self, client: str, command: Command) -> None:
        assert self.view is not None
        leased = self.settings.reads == "lease" and self.monotonic < self.lease_until
        probe = 0  # confirmed already
        if self._acks_needed() and not leased:
            probe = self.probe = self.probe + 1
            for backup in self.view.backups:
                self.ship(backup)
        self.reads.append((probe, client, command))
        self._answer_reads()

    def answer(self, client: str, command: Command, result: Any) -> None:
        # A command that has taken effect is on all required disks, so the reply need not wait.
        if result is None:
            return
        shown = result.result
        if self.role == "primary" and self.alone and command.kind not in self.store.reads:
            shown = Unreplicated(shown)
        reply = self.reply_for(command, result.status, result.value, shown)
        self.send(client, reply, hold=False)

    # Taking effect

    def _acks_needed(self) -> int:
        """How many backups must have a write before it takes effect."""
        assert self.view is not None
        return 0 if self.alone else self.settings.acks_of(len(self.view.backups))

    def replicated(self) -> int:
        """The position up to which the log is on all disks that the mode requires."""
        assert self.view is not None
        # A backup that does not hold the log with which the view began may yet contradict it.
        held = [self.match[b] for b in self.view.backups if self.match[b] >= self.start]
        needed = self._acks_needed()
        if not self.established or len(held) < needed:
            return self.commit
        return min([self.match[self.name], *sorted(held, reverse=True)[:needed]])

    def advance(self) -> None:
        assert self.view is not None
        if not self._may_answer():
            if self.leased:
                self.resign()
            return
        if not self.synced and min(self.match[m] for m in self.view.members) >= self.start:
            self.synced = True
            self._ping()
        self.take_effect(self.replicated())
        if self.alone:
            self._rejoin_backups()
        self._answer_reads()

    def take_effect(self, position: int) -> None:
        if position > self.commit:
            self.commit = position
            self.apply_committed()
            if self.settings.keep is not None:
                self.compact(self.settings.keep)
            self.answer_parked()

    def after_apply(self, command: Command, result: Any) -> None:
        self.conclude(command, result)

    def _answer_reads(self) -> None:
        """Answer the reads for which enough backups have confirmed the view since the reads arrived."""
        assert self.view is not None
        if not self.reads or not self.established or self.commit < self.start:
            return
        needed = self._acks_needed()
        newest = sorted([self.confirmed[b] for b in self.view.backups], reverse=True)[:needed]
        confirmed = min(newest, default=self.probe) if len(newest) == needed else 0
        ready = [read for read in self.reads if read[0] <= confirmed]
        self.reads = [read for read in self.reads if read[0] > confirmed]
        for _, client, command in ready:
            self.answer(client, command, self.store.execute(command))

    # Fallback of semi-sync to async, and return

    def _be_patient(self) -> None:
        assert self.settings.fallback is not None
        if not self.fallbacks:
            self.set_timer("fallback", self.settings.fallback)
        self.fallbacks.append((self.monotonic + self.settings.fallback, self.last))

    def on_fallback_timeout(self) -> None:
        if self.role != "primary":
            return
        while self.fallbacks and self.fallbacks[0][1] <= self.commit:
            self.fallbacks.popleft()
        if self.fallbacks and self.fallbacks[0][0] <= self.monotonic + 1e-9:
            self.alone = True
            self.fallbacks.clear()
            self.record("fallback", view=self.view_number)
            self.advance()
        elif self.fallbacks:
            self.set_timer("fallback", self.fallbacks[0][0] - self.monotonic)

    def _rejoin_backups(self) -> None:
        """Require acknowledgements again when enough backups hold everything that has taken effect."""
        assert self.view is not None
        held = sorted([self.match[b] for b in self.view.backups], reverse=True)
        needed = self.settings.acks_of(len(self.view.backups))
        if len(held) >= needed and held[needed - 1] >= max(self.commit, self.start):
            self.alone = False
            self.record("semi-sync", view=self.view_number)

    # Heartbeats

    def on_heartbeat_timeout(self) -> None:
        self.set_timer("heartbeat", self.settings.heartbeat_interval)
        if self.role == "primary" and self.leased and not self._may_answer():
            self.resign()
        if self.role == "primary":
            for peer in self.peers:
                self.nudge(peer)
        self._ping()

    def _ping(self) -> None:
        asked = self.departures.stamp()
        ping = Ping(self.view_number, self.log_view, asked)
        if self.view is not None:
            since = self.monotonic - self._detection
            silent = tuple(b for b in self.view.backups if self.answered[b] < since)
            outside = [p for p in self.peers if p not in self.view.members]
            alive = [p for p in outside if self.answered[p] >= since and self.streaming[p]]
            joined = tuple(p for p in alive if self.match[p] >= self.goal)
            self.goal = max(self.commit, self.start)
            ping = Ping(self.view_number, self.log_view, asked, True, self.synced, silent, joined)
        self.broadcast(ping, to=self.settings.service_names)

    def gauges(self) -> dict[str, float]:
        """For the frame ``samples``: how long the log is, and how much of it has taken effect here."""
        return {"log": self.last, "commit": self.commit, "applied": self.applied}
