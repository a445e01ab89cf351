"""Log shipping: a primary ships its log to its peers, which store it.

Each new entry is sent to every peer that is up to date. A heartbeat finds the positions of the others, and repeats
lost entries. A backup that needs entries which the log no longer holds gets a snapshot first.
"""

from __future__ import annotations

from typing import Any

from sim.message import message
from sim.node import durable
from sim.protocols.membership.views import View
from sim.protocols.replication.primary_backup.backup_reads import ReadsAtBackups
from sim.protocols.replication.shipped_log import Entry

__all__ = ["Append", "AppendOk", "InstallSnapshot", "LogShipping", "Mismatch", "StaleView"]

BATCH = 256  # entries in one message at most, so that state transfer comes in pieces


@message
class Append:
    """The primary of ``view`` ships the ``entries`` that follow ``position`` (whose entry is of ``last_view``).

    ``start``: the length of its log when the view began; a backup's entries of older views beyond it are invalid.
    ``commit``: the position up to which commands have taken effect. ``probe``: a number to echo; confirms reads.
    ``sent``: time of sending (s) on the primary's wall clock.
    """

    view: int
    start: int
    position: int
    last_view: int
    entries: tuple[Entry, ...]
    commit: int
    probe: int
    sent: float


@message
class AppendOk:
    """The sender's log on disk equals the primary's up to ``position``, and it follows ``view``."""

    view: int
    position: int
    probe: int


@message
class Mismatch:
    """The sender has no such entry; its own entry at ``position`` (which may be correct) is of ``last_view``.

    A position of -1 requests a snapshot, because the sender's own snapshot contradicts the primary's log.
    """

    view: int
    position: int
    last_view: int


@message
class InstallSnapshot:
    """The store after ``base`` entries, the last of ``base_view``, for a peer that is too far behind for the log."""

    view: int
    base: int
    base_view: int
    snapshot: tuple[tuple[Any, ...], ...] | None


@message
class StaleView:
    """The sender knows a newer view."""

    view: int


class LogShipping(ReadsAtBackups):
    """A member of a view: its primary ships the log, the others (backups and recovering replicas) store it."""

    view_number = durable(0)  # the newest view that it has followed
    sealed = durable(0)  # it refuses all views before this one
    distrusted = durable(0)  # the first view it knew with an empty disk: it has lost what it had in it

    primary: str | None  # of the view, as far as known: clients are sent there
    view: View | None  # while primary
    probe: int
    answered: dict[str, float]  # peer -> when it last answered (monotonic)

    def begin_shipping(self, known: dict[str, int]) -> None:
        """Begin as primary of a new view. ``known``: peer -> position of its log in the last view, if primary then."""
        self.start = self.view_start = self.last
        self.established = False  # whether this view's number is on its own disk
        self.match: dict[str, int] = dict.fromkeys(self.members, -1)  # the logs of all members are unknown
        far = {peer: position for peer, position in known.items() if position >= 0}
        self.next = {peer: max(far.get(peer, self.start), self.base) for peer in self.peers}
        self.streaming = dict.fromkeys(self.peers, False)
        self.confirmed = dict.fromkeys(self.peers, 0)
        answers = self.answered if known else {}
        self.answered = {peer: answers.get(peer, self.monotonic) for peer in self.peers}
        self.progress = dict.fromkeys(self.peers, -2)  # match at the last heartbeat

    # The primary's side

    def ship(self, peer: str) -> None:
        """Send a peer the entries not sent yet (none: a heartbeat)."""
        if self.next[peer] < self.base:
            snapshot = InstallSnapshot(self.view_number, self.base, self.base_view, self.snapshot)
            self.send(peer, snapshot, hold=not self.established)
            self.next[peer] = self.base
        position = self.next[peer]
        entries = self.entries_after(position, BATCH)
        self.next[peer] = position + len(entries)
        self._append(peer, position, entries)

    def _append(self, peer: str, position: int, entries: tuple[Entry, ...]) -> None:
        view, last_view = self.view_number, self.view_at(position)
        message = Append(view, self.start, position, last_view, entries, self.commit, self.probe, self.now)
        # No message of a view may leave before its number is on disk: a view has one primary, in one incarnation.
        self.send(peer, message, hold=not self.established)

    def nudge(self, peer: str) -> None:
        """Send a heartbeat; if nothing has arrived since the last one, send the entries in flight again."""
        if self.match[peer] == self.progress[peer] and self.match[peer] >= self.start:
            self.next[peer] = self.match[peer]
            self.streaming[peer] = self.match[peer] == self.last
        self.progress[peer] = self.match[peer]
        if self.monotonic - self.answered[peer] < self.settings.detection_timeout:
            self.ship(peer)
        else:  # only a probe for a peer that may be down
            self._append(peer, max(self.next[peer], self.base), ())

    def on_append_ok(self, src: str, msg: AppendOk) -> None:
        if self.role != "primary" or msg.view != self.view_number:
            return
        self.match[src] = max(self.match[src], msg.position)
        if src == self.name:
            self.established = True
        else:
            self.answered[src] = self.monotonic
            self.confirmed[src] = max(self.confirmed[src], msg.probe)
            self.streaming[src] = True
            self.next[src] = max(self.next[src], msg.position)
            if self.next[src] < self.last:
                self.ship(src)
        self.advance()

    def on_mismatch(self, src: str, msg: Mismatch) -> None:
        if self.role != "primary" or msg.view != self.view_number:
            return
        assert self.view is not None
        position = -1  # it has a snapshot of entries that are no longer valid
        if msg.position <= self.last:
            position = self.step_back(msg.position, msg.last_view)
        if self.match[src] >= self.start and src in self.view.backups and position < self.match[src]:
            return  # outdated; or the sender lost its disk, and will be removed from the view
        self.answered[src] = self.monotonic
        self.match[src] = min(self.match[src], max(position, 0))
        self.next[src] = position
        self.ship(src)

    def on_stale_view(self, src: str, msg: StaleView) -> None:
        if msg.view > self.view_number:
            self.resign()

    # The other side

    def _obeys(self, src: str, view: int) -> bool:
        """Whether ``src`` is the primary of the newest view known; follows it if so."""
        if view < max(self.view_number, self.sealed):
            self.send(src, StaleView(max(self.view_number, self.sealed)))
            return False
        if view > self.view_number:
            self.follow(view, src)
        self.primary = src
        return True

    def on_append(self, src: str, msg: Append) -> None:
        if not self._obeys(src, msg.view):
            return
        matched = msg.position + len(msg.entries)
        if msg.position < self.base and self._agrees_below_base(msg):
            pass
        elif not self.holds(msg.position, msg.last_view):
            self.send(src, self._mismatch(msg))
            return
        self.astray = False
        self.store_entries(msg.position, msg.entries)
        if self.log_view < msg.view and matched >= msg.start:
            self.cut(max(matched, self.base))  # a tail of older views, which never took effect
            self.log_view = msg.view
        self.view_start = msg.start
        self.take_effect(min(msg.commit, matched))
        self.fresh_as_of(msg.sent, msg.commit)
        self.send(src, AppendOk(msg.view, matched, msg.probe))

    def _agrees_below_base(self, msg: Append) -> bool:
        """Whether entries that begin within this replica's snapshot agree with its end."""
        index = self.base - msg.position - 1
        if index >= len(msg.entries):
            return self.log_view == msg.view  # a late copy of entries that are in the snapshot already
        return msg.entries[index].view == self.base_view

    def _mismatch(self, msg: Append) -> Mismatch:
        if msg.position < self.base:
            within = self.base - msg.position - 1 < len(msg.entries)
            self.astray = True  # perhaps: the primary will check whether it has that position
            return Mismatch(msg.view, -1 if within else self.base, self.base_view)
        if msg.position == self.base:
            self.astray = True  # the same position, another entry
            return Mismatch(msg.view, -1, 0)
        length = self.step_back(msg.position, msg.last_view)
        return Mismatch(msg.view, length, self.view_at(length))

    def on_install_snapshot(self, src: str, msg: InstallSnapshot) -> None:
        # A replica that follows this view holds its log: a shorter snapshot is a late copy.
        if self._obeys(src, msg.view) and (
            msg.base > self.base or (self.astray and self.log_view < msg.view)
        ):
            self.astray = False
            self.install(msg.base, msg.base_view, msg.snapshot)

    # Hooks of the protocol

    def follow(self, view: int, primary: str | None) -> None:
        """Become, or remain, a backup in a newer view."""
        raise NotImplementedError

    def resign(self) -> None:
        """Stop acting as primary in this view."""
        raise NotImplementedError

    def advance(self) -> None:
        """Called when more of the log is on disks, or more peers have confirmed the view."""
        raise NotImplementedError

    def take_effect(self, position: int) -> None:
        """Commit the log up to ``position``."""
        raise NotImplementedError
