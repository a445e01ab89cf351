"""How a replica of Viewstamped Replication gets missing state: recovery (4.3) and state transfer (5.2)."""

from __future__ import annotations

from sim.protocols.consensus.vr.messages import GetState, NewState, PrepareOk, Recovery, RecoveryResponse
from sim.protocols.consensus.vr.replica import NORMAL, RECOVERING, ViewReplica

__all__ = ["RecoveringReplica"]


class RecoveringReplica(ViewReplica):
    """A replica that loses its state in a crash, and gets it back from the others."""

    # Recovery (4.3)

    def on_recovery_timeout(self) -> None:
        """Send Recovery to all others, and repeat it until enough of them have answered."""
        if self.status == RECOVERING:
            self.set_timer("recovery", self.settings.detection_timeout)
            self.broadcast(Recovery(self.nonce, tuple(self.epochs)))

    def on_recovery(self, src: str, msg: Recovery) -> None:
        self.learn_epochs(msg.epochs)
        if self.status == NORMAL:
            log = tuple(self.log) if self.is_primary else None
            self.send(src, RecoveryResponse(self.view, msg.nonce, log, self.commit, tuple(self.epochs)))

    def on_recovery_response(self, src: str, msg: RecoveryResponse) -> None:
        self.learn_epochs(msg.epochs)
        if self.status != RECOVERING or not self.answers_me(msg):
            return
        self.responses[src] = msg
        self.recover()

    def answers_me(self, msg: RecoveryResponse) -> bool:
        """Whether a response answers this recovery, not an earlier one."""
        return msg.nonce == self.nonce

    def recover(self) -> None:
        """With f + 1 responses, one of them from the primary of the latest view among them: become normal again."""
        responses = self.consistent(self.responses)
        if len(responses) <= self.f:
            return
        view = max(response.view for response in responses.values())
        primary = responses.get(self.primary_of(view))
        if primary is None or primary.view != view or primary.log is None:
            return
        self.take_log(primary.log)
        self.responses.clear()
        self.cancel_timer("recovery")
        self.begin_normal(view)
        self.commit_up_to(primary.commit)
        if self.op > self.commit:
            self.send(self.primary_of(view), PrepareOk(view, self.op))

    # State transfer (5.2)

    def catch_up(self, src: str, view: int) -> None:
        """Request the missing operations of a view. Uncommitted operations of earlier views are requested again."""
        self.send(src, GetState(view, min(self.commit, self.op) if view > self.last_normal else self.op))

    def on_get_state(self, src: str, msg: GetState) -> None:
        if self.status == NORMAL and msg.view == self.view:
            self.send(src, NewState(self.view, msg.op, tuple(self.log[msg.op :]), self.commit))

    def on_new_state(self, src: str, msg: NewState) -> None:
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view == self.view and self.status == NORMAL:
            if msg.after <= self.op < msg.after + len(msg.log):
                self.log.extend(msg.log[self.op - msg.after :])
        else:
            if msg.after > self.commit:
                return  # it answers an older GetState: the operations between may differ from the view's
            self.take_log((*self.log[: msg.after], *msg.log))
            self.redirect_all()
            self.begin_normal(msg.view)
        self.send(self.primary_of(self.view), PrepareOk(self.view, self.op))
        self.commit_up_to(msg.commit)
