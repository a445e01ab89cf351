"""Primary-backup replication (master-slave): one primary orders all commands and ships its log to the backups.

Alsberg & Day, "A principle for resilient sharing of distributed resources", ICSE 1976; Budhiraja, Marzullo,
Schneider & Toueg, "The primary-backup approach", in Distributed Systems (ed. Mullender), 1993; views and their
service as in MIT 6.824 lab 2 (`sim.protocols.membership.view_service`).

``sync``: a command takes effect when every backup of the view has it on disk. ``async``: when the primary has;
what it had not shipped when it failed is lost.

The log is shipped by position, and each entry knows the view in which it was appended. One primary per view and
logs that only grow within a view give log matching: two logs with an entry of the same view at the same position
agree up to there (as in Raft; in Kafka since KIP-101). A backup cuts off only what contradicts the primary's log.

Fencing, that is, why an old primary acknowledges nothing once a new view is in force:

- sync: a write needs all backups of its view, and a read is confirmed by all of them in its view; the new primary
  was one of them, and a backup that knows a newer view refuses the old one. No clock is involved.
- async: nobody else is asked, so the primary answers only under a lease of the view service.

Assumptions: crash faults; stable storage; for async, bounded clock rates. Departure: a view does not stall while
a recovering member is brought up to date; it becomes a backup, in the next view, once it has caught up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from sim.message import message
from sim.node import Node, durable, durable_log
from sim.protocols.client import Client, Redirect, Reply, Request
from sim.protocols.kv import READS, Command, KeyValueStore
from sim.protocols.membership.view_service import LEASE, Ping, View, ViewIs, ViewService
from sim.system import Invariant, Member, System

if TYPE_CHECKING:
    from sim.node import DurableLog

__all__ = [
    "Append",
    "AppendOk",
    "Entry",
    "Mismatch",
    "PrimaryBackup",
    "PrimaryBackupNode",
    "StaleView",
]

BATCH = 256  # entries in one message at most, so that state transfer comes in pieces


@message
class Entry:
    """A command in the log, and the view in which it was appended."""

    view: int
    command: Command


@message
class Append:
    """The primary of ``view`` ships the ``entries`` that follow ``position`` (whose entry is of ``last_view``).

    ``start``: the length of its log when the view began; what a backup has beyond it is of no view any more.
    ``commit``: up to where commands have taken effect. ``probe``: to be echoed; confirms reads.
    """

    view: int
    start: int
    position: int
    last_view: int
    entries: tuple[Entry, ...]
    commit: int
    probe: int


@message
class AppendOk:
    """The sender's log on disk equals the primary's up to ``position``, and it follows ``view``."""

    view: int
    position: int
    probe: int


@message
class Mismatch:
    """The sender has no such entry; its own at ``position`` (which may be right) is of ``last_view``."""

    view: int
    position: int
    last_view: int


@message
class StaleView:
    """The sender knows a newer view."""

    view: int


class PrimaryBackupNode(Node):
    """A replica: primary of its view, backup in it, or outside of it and catching up."""

    settings: PrimaryBackup
    view_number = durable(0)  # the newest view that it has followed
    log_view = durable(0)  # the newest view whose log, as it was when that view began, it holds whole
    log: DurableLog[Entry] = durable_log()

    def on_start(self) -> None:
        self.role = "backup"
        self.primary: str | None = None  # of the view, as far as known: clients are sent there
        self.view: View | None = None  # while primary
        self.store = KeyValueStore()
        self.commit = 0  # entries known to have taken effect
        self.applied = 0  # entries that the store has seen
        self.waiting: dict[tuple[int, int], str] = {}  # (session, sequence) -> client
        self.reads: list[tuple[int, str, Command]] = []  # (probe that confirms it, client, command)
        self.probe = 0
        self.lease_until = self.now
        if self.incarnation == 0 and self.view_number == 0:
            self._begin_first_view()
        else:
            self.record("role", role="backup", view=self.view_number)
        self.on_heartbeat_timeout()

    def _begin_first_view(self) -> None:
        """The first view is configuration, and all its logs are empty: nothing needs to be transferred."""
        first = self.settings.first_view
        self.lease_until = self.now + LEASE * self._detection  # the service counts from its own start, too
        if first.primary == self.name:
            self._lead(first)
            self.streaming = dict.fromkeys(self.peers, True)
            self.synced = True
        else:
            self.log_view = first.number
            self._follow(first.number, first.primary)

    @property
    def _detection(self) -> float:
        return float(self.settings.detection or 0.0)

    # Views

    def on_view_is(self, src: str, msg: ViewIs) -> None:
        view = msg.view
        if view.number > self.view_number:
            if view.primary != self.name:
                self._follow(view.number, view.primary)
            elif self.log_view >= view.after:  # else it has lost its disk, and must not lead
                self._grant_lease(msg)
                self._lead(view)
                for peer in self.peers:
                    self._ship(peer)
        elif view.number == self.view_number:
            self._grant_lease(msg)
            if view.primary != self.name:
                self.primary = view.primary

    def _grant_lease(self, msg: ViewIs) -> None:
        if msg.asked is not None:
            self.lease_until = max(self.lease_until, msg.asked + LEASE * self._detection)

    def _lead(self, view: View) -> None:
        """Become the primary of a view (again)."""
        again = self.role == "primary"
        known = self.match if again else {}
        self.role, self.primary, self.view = "primary", self.name, view
        self.view_number = self.log_view = view.number
        self.start = len(self.log)
        self.established = False  # that it leads this view is on its own disk
        self.synced = False  # all backups of the view hold the whole log
        self.match: dict[str, int] = dict.fromkeys(self.members, 0)
        self.next = {peer: known.get(peer, self.start) for peer in self.peers}
        self.streaming = dict.fromkeys(self.peers, False)
        self.confirmed = dict.fromkeys(self.peers, 0)
        self.answered = dict.fromkeys(self.peers, self.now)
        self.progress = dict.fromkeys(self.peers, -1)  # match at the last heartbeat
        self.goal = self.start  # an outsider that has got here has caught up
        self.probe += 1
        self.reads = [(self.probe, client, command) for _, client, command in self.reads]
        self.record("role", role="primary", view=view.number)
        if not again:
            self.record("elected", view=view.number)
        self.send(self.name, AppendOk(view.number, self.start, self.probe))

    def _follow(self, view: int, primary: str | None) -> None:
        """Become, or remain, a backup in a newer view."""
        self.view_number = view
        self._resign()
        self.primary = primary
        self.record("role", role="backup", view=view)

    def _resign(self) -> None:
        """Act as primary no more in this view; clients had better ask elsewhere."""
        if self.role != "primary":
            return
        self.role, self.primary, self.view = "backup", None, None
        for (session, sequence), client in self.waiting.items():
            self.send(client, Redirect(session, sequence, None), hold=False)
        for _, client, command in self.reads:
            self.send(client, Redirect(command.session, command.sequence, None), hold=False)
        self.waiting.clear()
        self.reads.clear()

    def _may_answer(self) -> bool:
        """Whether nobody else can have become primary without this one's knowing, or being asked."""
        return self.settings.mode == "sync" or not self.settings.fencing or self.now < self.lease_until

    # Commands

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if self.role == "primary" and not self._may_answer():
            self._resign()
        if self.role != "primary":
            self.send(src, Redirect(command.session, command.sequence, self.primary), hold=False)
        elif command.kind in READS:
            self._read(src, command)
        else:
            self._write(src, command)

    def _write(self, client: str, command: Command) -> None:
        identity = (command.session, command.sequence)
        known = self.store.known(command)
        if known is not None:
            self._reply(client, command, known)
        elif identity in self.waiting:
            self.waiting[identity] = client
        elif not self.store.has_applied(*identity):
            self.waiting[identity] = client
            self.log.append(Entry(self.view_number, command))
            for peer in self.peers:
                if self.streaming[peer]:
                    self._ship(peer)
            self.send(self.name, AppendOk(self.view_number, len(self.log), self.probe))

    def _read(self, client: str, command: Command) -> None:
        assert self.view is not None
        if self.settings.mode == "sync":
            self.probe += 1
            for backup in self.view.backups:
                self._ship(backup)
        self.reads.append((self.probe, client, command))
        self._answer_reads()

    def _reply(self, client: str, command: Command, result: Any) -> None:
        # What has taken effect is on every disk that it needs to be on: nothing more to wait for.
        answer = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.send(client, answer, hold=False)

    # Shipping the log

    def _ship(self, peer: str) -> None:
        """Send a peer what it has not been sent yet (nothing: a heartbeat)."""
        position = self.next[peer]
        entries = tuple(self.log.items[position : position + BATCH])
        self.next[peer] = position + len(entries)
        last_view = self.log[position - 1].view if position else 0
        message = Append(self.view_number, self.start, position, last_view, entries, self.commit, self.probe)
        # Nothing of a view may leave before its number is on disk: the view has one primary, and one life of it.
        self.send(peer, message, hold=not self.established)

    def on_append(self, src: str, msg: Append) -> None:
        if msg.view < self.view_number:
            self.send(src, StaleView(self.view_number))
            return
        if msg.view > self.view_number:
            self._follow(msg.view, src)
        self.primary = src
        if not self._holds(msg.position, msg.last_view):
            length = min(len(self.log), msg.position)
            self.send(src, Mismatch(msg.view, length, self.log[length - 1].view if length else 0))
            return
        self._store(msg.position, msg.entries)
        matched = msg.position + len(msg.entries)
        if self.log_view < msg.view and matched >= msg.start:
            self._cut(matched)  # a tail of older views, which never took effect
            self.log_view = msg.view
        self._take_effect(min(msg.commit, matched))
        self.send(src, AppendOk(msg.view, matched, msg.probe))

    def _holds(self, position: int, view: int) -> bool:
        return position == 0 or (position <= len(self.log) and self.log[position - 1].view == view)

    def _store(self, position: int, entries: tuple[Entry, ...]) -> None:
        """Append what is new; cut the log where it contradicts the primary's, and nowhere else."""
        for index, entry in enumerate(entries, position):
            if index < len(self.log) and self.log[index].view != entry.view:
                self._cut(index)
            if index >= len(self.log):
                self.log.append(entry)

    def _cut(self, length: int) -> None:
        """Drop the entries after the first ``length``, and what they did to the store."""
        self.log.truncate(length)
        if self.applied > length:  # async: the old primary had applied what nobody else has
            self.store = KeyValueStore()
            self.applied = 0
            self.commit = min(self.commit, length)
            self._apply()

    def on_append_ok(self, src: str, msg: AppendOk) -> None:
        if self.role != "primary" or msg.view != self.view_number:
            return
        self.match[src] = max(self.match[src], msg.position)
        if src == self.name:
            self.established = True
        else:
            self.answered[src] = self.now
            self.confirmed[src] = max(self.confirmed[src], msg.probe)
            self.streaming[src] = True
            self.next[src] = max(self.next[src], msg.position)
            if self.next[src] < len(self.log):
                self._ship(src)
        self._advance()

    def on_mismatch(self, src: str, msg: Mismatch) -> None:
        if self.role != "primary" or msg.view != self.view_number:
            return
        position = msg.position
        while position > 0 and self.log[position - 1].view > msg.last_view:
            position -= 1
        # Less than what has matched: sent before, or by one that lost its disk and will be put out of the view.
        if position >= self.match[src]:
            self.answered[src] = self.now
            self.next[src] = position
            self._ship(src)

    def on_stale_view(self, src: str, msg: StaleView) -> None:
        if msg.view > self.view_number:
            self._resign()

    # Taking effect

    def replicated(self) -> int:
        """Up to where the log is on all the disks that the mode asks for."""
        assert self.view is not None
        if not self.established:
            return self.commit
        needed = [self.match[self.name]]
        if self.settings.mode == "sync":
            needed += [self.match[backup] for backup in self.view.backups]
        # A backup that does not hold the log with which the view began may yet contradict it.
        return min(needed) if min(needed) >= self.start else self.commit

    def _advance(self) -> None:
        assert self.view is not None
        if not self._may_answer():
            self._resign()
            return
        if not self.synced and min(self.match[m] for m in self.view.members) >= self.start:
            self.synced = True
            self._ping()
        self._take_effect(self.replicated())
        self._answer_reads()

    def _take_effect(self, position: int) -> None:
        if position > self.commit:
            self.commit = position
            self._apply()

    def _apply(self) -> None:
        while self.applied < self.commit:
            command = self.log[self.applied].command
            self.applied += 1
            result = self.store.apply(command)
            client = self.waiting.pop((command.session, command.sequence), None)
            if client is not None and result is not None:
                self._reply(client, command, result)

    def _answer_reads(self) -> None:
        """Answer the reads for which all backups have confirmed, since they came, that the view stands."""
        assert self.view is not None
        if not self.reads or not self.established or self.commit < self.start:
            return
        backups = self.view.backups if self.settings.mode == "sync" else ()
        confirmed = min([self.confirmed[b] for b in backups], default=self.probe)
        while self.reads and self.reads[0][0] <= confirmed:
            _, client, command = self.reads.pop(0)
            self._reply(client, command, self.store.execute(command))

    # Heartbeats

    def on_heartbeat_timeout(self) -> None:
        self.set_timer("heartbeat", float(self.settings.heartbeat or 0.0))
        if self.role == "primary" and not self._may_answer():
            self._resign()
        if self.role == "primary":
            for peer in self.peers:
                self._nudge(peer)
        self._ping()

    def _nudge(self, peer: str) -> None:
        """Send a heartbeat; if nothing has arrived since the last one, what was in flight is sent again."""
        if self.match[peer] == self.progress[peer] and self.match[peer] >= self.start:
            self.next[peer] = self.match[peer]
            self.streaming[peer] = self.match[peer] == len(self.log)
        self.progress[peer] = self.match[peer]
        self._ship(peer)

    def _ping(self) -> None:
        ping = Ping(self.view_number, self.log_view, self.now)
        if self.view is not None:
            since = self.now - self._detection
            silent = tuple(b for b in self.view.backups if self.answered[b] < since)
            outside = [p for p in self.peers if p not in self.view.members]
            joined = tuple(p for p in outside if self.match[p] >= self.goal and self.streaming[p])
            self.goal = max(self.commit, self.start)
            ping = Ping(self.view_number, self.log_view, self.now, True, self.synced, silent, joined)
        self.send(self.settings.service, ping)


@dataclass(frozen=True, kw_only=True)
class PrimaryBackup(System):
    """Primary-backup over ``nodes`` replicas and a view service.

    Parameters
    ----------
    nodes:
        Replicas (>= 1), named "n0", "n1", ...
    mode:
        ``"sync"``: acknowledged when on the disk of every backup of the view; linearizable, survives all but
        one. Reads are confirmed by the backups. ``"async"``: acknowledged when on the primary's disk; a
        failover loses what was not shipped.
    leader:
        The first primary; None: the first replica.
    near:
        Beside whom the view service stands; None: the last replica that is not the first primary.
    fencing:
        False (with ``unsafe``): an async primary goes on without a lease, so that two may answer at a time.

    Raises ValueError for a value out of range.
    """

    nodes: int = 3
    mode: Literal["sync", "async"] = "sync"
    leader: str | None = None
    near: str | None = None
    fencing: bool = True

    service: ClassVar[str] = "views"
    node_class: ClassVar[type[PrimaryBackupNode]] = PrimaryBackupNode
    service_class: ClassVar[type[ViewService]] = ViewService

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.nodes, bool) or not isinstance(self.nodes, int) or self.nodes < 1:
            raise ValueError(f"PrimaryBackup: nodes must be an integer of at least 1, not {self.nodes!r}")
        if self.mode not in ("sync", "async"):
            raise ValueError(f"PrimaryBackup: mode must be 'sync' or 'async', not {self.mode!r}")
        for field in ("leader", "near"):
            if getattr(self, field) not in (None, *self.replicas):
                raise ValueError(
                    f"PrimaryBackup: {field} must be one of {', '.join(self.replicas)}, "
                    f"not {getattr(self, field)!r}"
                )
        if not self.fencing and not self.unsafe:
            raise ValueError(
                "PrimaryBackup: fencing=False lets two primaries answer; say unsafe=True as well"
            )

    @property
    def replicas(self) -> tuple[str, ...]:
        """The names of the replicas."""
        return tuple(f"n{i}" for i in range(self.nodes))

    @property
    def first_view(self) -> View:
        """The view that is in force at the start."""
        first = self.leader or self.replicas[0]
        return View(1, (first, *[m for m in self.replicas if m != first]))

    def members(self) -> tuple[Member, ...]:
        replicas = [Member(name, self.node_class) for name in self.replicas]
        near = self.near or max(self.first_view.backups, default=self.first_view.primary)
        service = Member(self.service, self.service_class, group="services", near=near, role="service")
        return (*replicas, service)

    @property
    def client_class(self) -> type[Node]:
        return Client

    @property
    def claims(self) -> str | None:
        return "linearizable" if self.mode == "sync" and not self.unsafe else None

    def with_leader(self, place: str, places: Mapping[str, str]) -> Self:
        there = [m for m in self.replicas if places.get(m) == place]
        if not there:
            raise ValueError(f"PrimaryBackup: no replica is at {place!r}")
        return dataclasses.replace(self, leader=there[0])

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        if role not in (*self.leader_roles, "backup"):
            raise LookupError(f"PrimaryBackup has no {role}")
        replicas = {m: n for m in self.replicas if isinstance(n := nodes.get(m), PrimaryBackupNode)}
        leading = [m for m, n in replicas.items() if n.role == "primary"]
        primary = max(leading, key=lambda m: replicas[m].view_number, default=None)
        if role in self.leader_roles or primary is None:
            return primary if role in self.leader_roles else None
        view = replicas[primary].view
        return next((b for b in view.backups if b in replicas), None) if view is not None else None

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.replication.primary_backup_invariants import invariants_of

        return invariants_of(self)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        replicas = [n for m in self.replicas if isinstance(n := nodes.get(m), PrimaryBackupNode)]
        if not replicas:
            return None
        holder = max(replicas, key=lambda n: (n.role == "primary", n.log_view, len(n.log)))
        store = KeyValueStore()
        for entry in holder.log:
            store.apply(entry.command)
        return len(store.missing(acknowledged))
