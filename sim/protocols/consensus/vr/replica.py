"""The state of a replica of Viewstamped Replication: log and views, crash-consistent quorums, execution.

The base of `recovery` (4.3, 5.2) and `node` (4.1, 4.2); see `node` for the sources and the departures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sim.protocols.backoff import LONGEST_WAIT, longest_wait
from sim.protocols.command import Command
from sim.protocols.consensus.vr.messages import DoViewChange, Epochs, RecoveryResponse, StartViewChange
from sim.protocols.replica import Replica

if TYPE_CHECKING:
    from sim.protocols.consensus.vr.system import ViewstampedReplication

__all__ = ["NORMAL", "RECOVERING", "VIEW_CHANGE", "ViewReplica"]

NORMAL, VIEW_CHANGE, RECOVERING = "normal", "view-change", "recovering"


class ViewReplica(Replica):
    """State and methods that normal operation, view changes and recovery share."""

    settings: ViewstampedReplication

    def on_start(self) -> None:
        self.f = len(self.members) // 2
        self.number = self.members.index(self.name)
        self.status = NORMAL
        self.view = self.members.index(self.settings.first_leader)
        self.last_normal = self.view
        self.log: list[Command] = []
        self.commit = 0
        self.applied = 0
        self.acks: dict[str, int] = {}  # backup -> highest op that it has
        self.epochs = [0] * len(self.members)
        self.epochs[self.number] = self.incarnation
        self.changes = 0  # view changes since normal operation was last seen
        self.change_votes: dict[str, StartViewChange] = {}
        self.reported = False
        self.reports: dict[str, DoViewChange] = {}
        self.responses: dict[str, RecoveryResponse] = {}
        self.nonce = self.incarnation

    # Roles

    def primary_of(self, view: int) -> str:
        """The primary of a view: replica view mod n."""
        return self.members[view % len(self.members)]

    @property
    def is_primary(self) -> bool:
        """Whether this replica orders requests now."""
        return self.status == NORMAL and self.primary_of(self.view) == self.name

    @property
    def op(self) -> int:
        """The number of the latest request in the log."""
        return len(self.log)

    def begin_normal(self, view: int) -> None:
        """Become normal in a view, as its primary or as a backup."""
        self.status = NORMAL
        self.view = self.last_normal = view
        self.change_votes.clear()
        self.reports.clear()
        self.acks = dict.fromkeys(self.peers, 0)
        leads = self.primary_of(view) == self.name
        self.record("role", role="primary" if leads else "backup", view=view)
        if leads:
            self.cancel_timer("view_change")
            self.set_timer("commit", self.settings.heartbeat_interval)
        else:
            self.cancel_timer("commit")
            self.await_primary()

    def await_primary(self) -> None:
        """Restart the timer after which a backup that received nothing from the primary starts a view change (4.2).

        The timeout is uniform in [t, 2t) seconds. t is the detection timeout, doubled for each view change that follows
        another before normal operation: a view begins with whole logs, which replicas with slow network cards cannot
        send within the first timeout (the papers say nothing of that; PBFT, OSDI 1999, section 4.5.2, doubles it, too).
        """
        timeout = self.settings.detection_timeout
        shortest = longest_wait(timeout, LONGEST_WAIT * timeout, max(self.changes, 1))
        self.set_timer("view_change", self.random.uniform(shortest, 2 * shortest))

    # The log, and its execution

    def take_log(self, log: Iterable[Command]) -> None:
        """Replace the log. Executed operations are committed, so they are a prefix of every later log."""
        self.log = list(log)

    def commit_up_to(self, commit: int) -> None:
        """Execute the operations that are now committed, in order; the primary answers the clients."""
        self.commit = max(self.commit, min(commit, self.op))
        while self.applied < self.commit:
            command = self.log[self.applied]
            self.applied += 1
            self.apply_and_answer(command)

    # Crash-consistent quorums (DISC 2017)

    def learn_epochs(self, epochs: Epochs) -> None:
        """Merge another replica's epochs into this one's: the maximum for each replica."""
        self.epochs = [max(mine, theirs) for mine, theirs in zip(self.epochs, epochs, strict=True)]
        self.epochs[self.number] = self.incarnation

    def consistent(self, received: Mapping[str, Any]) -> dict[str, Any]:
        """The messages whose senders have not begun a later incarnation since, as far as this replica knows."""
        return {
            src: msg
            for src, msg in received.items()
            if msg.epochs[self.members.index(src)] >= self.epochs[self.members.index(src)]
        }
