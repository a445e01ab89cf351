"""A replicated log that is shipped by position; a snapshot may replace its first entries.

Positions count entries from 1, over the whole history: position p is the p-th command ever. The first ``base``
entries may have been replaced by a snapshot of the store after them. Each entry contains the view in which it
was appended. A view has one primary, whose log only grows. So two logs that have an entry of the same view at the
same position are equal up to this position (log matching: Raft, section 5.3; Kafka, KIP-101).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.message import message
from sim.node import durable, durable_log
from sim.protocols.command import Command
from sim.protocols.replica import Replica

if TYPE_CHECKING:
    from sim.node import DurableLog

__all__ = ["Entry", "ShippedLog"]


@message
class Entry:
    """A command in the log, and the view in which it was appended."""

    view: int
    command: Command


class ShippedLog(Replica):
    """A node with a shipped log, and the store to which the log is applied."""

    log_view = durable(0)  # the newest view whose complete initial log this node holds
    log: DurableLog[Entry] = durable_log()  # the entries after the first `base`
    base = durable(0)
    base_view = durable(0)  # the view of entry number `base`
    snapshot: Any = durable(None)  # the store after the first `base` entries

    def recover(self) -> None:
        """Start from the disk: restore the snapshot; later entries are applied when they are known to be committed."""
        self.store = self.empty_store()
        if self.snapshot is not None:
            self.store.restore(self.snapshot)
        self.applied = self.base  # number of entries applied to the store
        self.commit = self.base  # number of entries known to be committed

    # Queries

    @property
    def last(self) -> int:
        """The position of the last entry."""
        return self.base + len(self.log.items)

    def view_at(self, position: int) -> int:
        """The view of the entry at a position (from ``base`` to ``last``); 0 before the first."""
        return self.log[position - self.base - 1].view if position > self.base else self.base_view

    def entries_after(self, position: int, most: int) -> tuple[Entry, ...]:
        """At most ``most`` entries after a position (at least ``base``)."""
        return tuple(self.log.items[position - self.base : position - self.base + most])

    def holds(self, position: int, view: int) -> bool:
        """Whether the log (or its base) has an entry of this view at ``position``."""
        return self.base <= position <= self.last and self.view_at(position) == view

    def step_back(self, position: int, view: int) -> int:
        """The last position up to ``position`` whose view is at most ``view``, the other log's view at ``position``.

        Views only grow along a log, so entries of a later view cannot be in the other log up to there. Both sides must
        step back (KIP-279): each may hold entries of a view between two views of the other.
        """
        position = min(position, self.last)
        while position > self.base and self.view_at(position) > view:
            position -= 1
        return position

    # Changes

    def store_entries(self, position: int, entries: tuple[Entry, ...]) -> None:
        """Append the entries that are new; truncate the log only at an entry that differs from these."""
        for number, entry in enumerate(entries, position + 1):
            if number <= self.base:
                continue
            if number <= self.last and self.view_at(number) != entry.view:
                self.cut(number - 1)
            if number > self.last:
                self.log.append(entry)

    def cut(self, position: int) -> None:
        """Remove the entries after a position, and undo their effect on the store."""
        self.log.truncate(position - self.base)
        if self.applied > position:  # an async primary may apply entries that no other node has
            commit = min(self.commit, position)
            self.recover()
            self.commit = commit
            self.apply_committed()

    def install(self, base: int, base_view: int, snapshot: Any) -> None:
        """Take another node's snapshot; keep the later entries if the log matches the snapshot."""
        if self.holds(base, base_view):
            self.log.discard(base - self.base)
        else:
            self.log.reset()
        applied = self.applied
        self.base, self.base_view, self.snapshot = base, base_view, snapshot
        if applied < base or not len(self.log):
            self.recover()

    def compact(self, keep: int) -> None:
        """Replace all applied entries by a snapshot once there are more than ``keep``."""
        count = self.applied - self.base
        if count > keep:
            view = self.view_at(self.applied)
            self.log.discard(count)
            self.base, self.base_view, self.snapshot = self.applied, view, self.store.snapshot()

    def apply_committed(self) -> None:
        """Apply the committed entries, in order."""
        while self.applied < self.commit:
            command = self.log[self.applied - self.base].command
            self.applied += 1
            self.after_apply(command, self.store.apply(command))

    def after_apply(self, command: Command, result: Any) -> None:
        """Called after a command was applied; ``result`` is None for a duplicate."""
