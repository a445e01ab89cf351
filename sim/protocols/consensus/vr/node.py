"""Viewstamped Replication Revisited (Liskov & Cowling, MIT-CSAIL-TR-2012-021), with crash-consistent quorums.

Replicas are numbered; the primary of view v is replica v mod n. The primary orders requests and commits one when f
backups have it (4.1). When the primary stops sending, the others change the view (4.2). Nothing is on disk: a
replica that restarts has lost its state, and recovers it from the others before it takes part again (4.3).

Sections 4.1 and 4.2 are here, 4.3 and 5.2 in `recovery`, shared state in `replica`; the system is in `system`.

Assumptions: n = 2f + 1 replicas, of which at most f are down *or recovering* at a time.

Departures from the paper:

- Quorums are crash-consistent (Michael, Ports, Sharma & Szekeres, "Recovering Shared Objects Without Stable Storage",
  DISC 2017): as printed, a DoViewChange that a replica sent before it crashed may be counted after it has recovered
  and acknowledged more, which loses a committed request. Messages of view changes and recoveries carry the *epochs*
  (incarnation numbers) of all replicas as far as the sender knows them. A message does not count if its sender's
  incarnation has ended.
- A replica that learns of a later view keeps its log until the NewState arrives. (In 5.2 it truncates the log first.
  If the view changes again before the NewState arrives, the truncated part is missing from its DoViewChange.)
- DoViewChange, StartView and RecoveryResponse contain the whole log, and there are no checkpoints (5.1).
- The number of an incarnation is the host's count of boots. It also serves as the paper's fresh nonce.
"""

from __future__ import annotations

from sim.protocols.client import Request
from sim.protocols.consensus.vr.messages import (
    Commit,
    DoViewChange,
    Prepare,
    PrepareOk,
    StartView,
    StartViewChange,
)
from sim.protocols.consensus.vr.recovery import RecoveringReplica
from sim.protocols.consensus.vr.replica import NORMAL, RECOVERING, VIEW_CHANGE

__all__ = ["ViewstampedNode"]


class ViewstampedNode(RecoveringReplica):
    """A replica: primary or backup, normal, in a view change, or recovering."""

    def on_start(self) -> None:
        super().on_start()
        if self.incarnation == 0:
            self.begin_normal(self.view)
        else:
            self.status = RECOVERING
            self.record("role", role="recovering", view=self.view)
            self.on_recovery_timeout()

    # Normal operation (4.1)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if not self.is_primary:
            known = self.primary_of(self.view) if self.status == NORMAL else None
            self.redirect(src, command, known)
            return
        if not self.begins(src, command):
            return  # a duplicate (the client table)
        if command in self.log[self.applied :]:
            return  # it arrived in an earlier view, and is not yet committed
        self.log.append(command)
        self.broadcast(Prepare(self.view, self.op, command, self.commit))
        self.advance_commit()

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if not self.follows(src, msg.view):
            return
        if msg.op > self.op + 1:
            self.catch_up(src, msg.view)
            return
        if msg.op == self.op + 1:
            self.log.append(msg.command)
        self.send(src, PrepareOk(self.view, self.op))
        self.commit_up_to(msg.commit)

    def on_prepare_ok(self, src: str, msg: PrepareOk) -> None:
        if self.is_primary and msg.view == self.view and msg.op > self.acks[src]:
            self.acks[src] = msg.op
            self.changes = 0
            self.advance_commit()

    def advance_commit(self) -> None:
        """Commit a request when PrepareOks from f different backups have arrived."""
        having = sorted([*self.acks.values(), self.op], reverse=True)
        self.commit_up_to(having[self.f])

    def on_commit_timeout(self) -> None:
        """An idle primary sends Commit, or the last operation again to backups that have not acknowledged it."""
        self.set_timer("commit", self.settings.heartbeat_interval)
        behind = [peer for peer in self.peers if self.acks[peer] < self.op]
        if self.log:
            self.broadcast(Prepare(self.view, self.op, self.log[-1], self.commit), to=behind)
        self.broadcast(Commit(self.view, self.commit), to=[p for p in self.peers if p not in behind])

    def on_commit(self, src: str, msg: Commit) -> None:
        if self.follows(src, msg.view):
            if msg.commit > self.op:
                self.catch_up(src, msg.view)
            else:
                self.commit_up_to(msg.commit)

    def follows(self, src: str, view: int) -> bool:
        """Whether this replica is normal in ``view``, so that it may process a message of the view's primary."""
        if view < self.view or self.status == RECOVERING:
            return False
        if view > self.view or self.status == VIEW_CHANGE:
            self.catch_up(src, view)  # the view has begun without this replica
            return False
        self.changes = 0
        self.await_primary()
        return True

    # View changes (4.2)

    def on_view_change_timeout(self) -> None:
        if self.status != RECOVERING:
            self.change_view(self.view + 1)

    def change_view(self, view: int) -> None:
        """Advance the view-number, and send StartViewChange to all others."""
        if self.status == NORMAL:
            self.record("role", role="candidate", view=view)
        self.status = VIEW_CHANGE
        self.view = view
        self.changes += 1
        self.change_votes.clear()
        self.reported = False
        self.reports.clear()
        self.cancel_timer("commit")
        self.redirect_all()
        self.await_primary()
        self.broadcast(StartViewChange(view, tuple(self.epochs)))

    def on_start_view_change(self, src: str, msg: StartViewChange) -> None:
        self.learn_epochs(msg.epochs)
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view > self.view:
            self.change_view(msg.view)
        if self.status == VIEW_CHANGE:
            self.change_votes[src] = msg
            self.report()

    def report(self) -> None:
        """With StartViewChange from f others: send the log to the new primary in a DoViewChange."""
        agreeing = self.consistent(self.change_votes)
        if len(agreeing) >= self.f and not self.reported:
            self.reported = True
            known = DoViewChange(
                self.view, tuple(self.log), self.last_normal, self.commit, tuple(self.epochs)
            )
            self.send(self.primary_of(self.view), known)

    def on_do_view_change(self, src: str, msg: DoViewChange) -> None:
        self.learn_epochs(msg.epochs)
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view > self.view:
            self.change_view(msg.view)
        if self.status != VIEW_CHANGE:
            return
        self.reports[src] = msg
        self.begin_view()

    def begin_view(self) -> None:
        """With f + 1 DoViewChanges, including this replica's own: take the best log, and begin the view."""
        reports = self.consistent(self.reports)
        if len(reports) <= self.f or self.name not in reports:
            return
        best = self.best_report(list(reports.values()))
        self.take_log(best.log)
        commit = max(report.commit for report in reports.values())
        self.begin_normal(self.view)
        self.broadcast(StartView(self.view, tuple(self.log), commit, tuple(self.epochs)))
        self.commit_up_to(commit)
        self.advance_commit()

    def best_report(self, reports: list[DoViewChange]) -> DoViewChange:
        """The report with the latest normal view; of several such, the one with the longest log."""
        return max(reports, key=lambda report: (report.last_normal, len(report.log)))

    def on_start_view(self, src: str, msg: StartView) -> None:
        self.learn_epochs(msg.epochs)
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view == self.view and self.status == NORMAL:
            return
        self.take_log(msg.log)
        self.begin_normal(msg.view)
        if self.op > msg.commit:
            self.send(src, PrepareOk(self.view, self.op))
        self.commit_up_to(msg.commit)
