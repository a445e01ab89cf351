"""A view service that promotes the most advanced member, for semi-synchronous replication.

With k acknowledgements, a write may be on the disks of the primary and of any k of its b backups. Before a promotion,
members are *sealed*: they promise to obey no older view, and report the length of their log. Consider each view that
may have acknowledged writes. When all but k - 1 of its backups are sealed (or its primary is), the old primary cannot
get k acknowledgements any more, and a sealed member has every acknowledged write. This member is the one whose log is
of the newest view and, in that view, the longest: the choice of a view change in Viewstamped Replication (Liskov &
Cowling 2012, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping

from sim.message import message
from sim.node import durable
from sim.protocols.membership.views.service import Ping, View, ViewService

__all__ = ["Seal", "Sealed", "SealingViewService"]


@message
class Seal:
    """View ``view`` is being formed: the receiver must obey no older view, and report the length of its log."""

    view: int


@message
class Sealed:
    """The sender obeys no view before ``view``; it has the log of ``log_view`` up to position ``last``."""

    view: int
    log_view: int
    last: int


class SealingViewService(ViewService):
    """Promotes the most advanced sealed member."""

    in_doubt: tuple[View, ...] = durable(
        ()
    )  # the views that may have acknowledged writes that not all members have

    def on_start(self) -> None:
        super().on_start()
        if not self.in_doubt:
            self.in_doubt = (self.view,)

    def _begin(self) -> None:
        super()._begin()
        self.sealed: dict[str, tuple[int, int]] | None = None  # member -> (view of its log, last position)

    def _hear_primary(self, msg: Ping) -> None:
        before = self.acknowledged_view
        super()._hear_primary(msg)
        if self.acknowledged_view > before:
            self.in_doubt = (self.view,)

    def _install(self, members: tuple[str, ...]) -> None:
        super()._install(members)
        self.in_doubt = (*self.in_doubt, self.view)

    def _begin_again(self, members: tuple[str, ...]) -> None:
        super()._begin_again(members)
        self.in_doubt = (self.view,)

    def on_check_timeout(self) -> None:
        asked = self.sealed is not None
        super().on_check_timeout()
        if asked and self.sealed is not None:
            self._seal()  # again, to members that have not answered

    def _replace_primary(self, unheeded: bool) -> None:
        self.unheeded = unheeded
        if self.sealed is None:
            self.sealed = {}
            self._seal()
        else:
            self._promote()  # the live or the shunned members may have changed since the last answer

    def _seal(self) -> None:
        assert self.sealed is not None
        for member in dict.fromkeys(m for view in self.in_doubt for m in view.members):
            if member not in self.sealed:
                self.send(member, Seal(self.view.number + 1))

    def on_sealed(self, src: str, msg: Sealed) -> None:
        # A member without the log of the last acknowledged view has lost its disk: its answer proves nothing.
        if self.sealed is None or msg.view != self.view.number + 1 or msg.log_view < self.oldest_log:
            return
        self.heard[src] = self.monotonic
        self.holds[src] = msg.log_view
        self.sealed[src] = (msg.log_view, msg.last)
        self._promote()

    def _promote(self) -> None:
        """Make the next view, if the sealed members must have every write that may have been acknowledged."""
        assert self.sealed is not None
        shunned = self.view.primary if self.unheeded else None
        # Count only members that can be promoted: the member with all acknowledged writes must be one of them.
        candidates = {
            m: how
            for m, how in self.sealed.items()
            if self.is_alive(m) and m != shunned and self.holds[m] >= self.oldest_log
        }
        if all(self._speak_for(view, candidates) for view in self.in_doubt):
            best = max(candidates, key=lambda m: candidates[m])
            others = [m for m in self.view.members if self.is_alive(m) and m != best]
            self._install((best, *others))

    def _speak_for(self, view: View, candidates: Mapping[str, object]) -> bool:
        """Whether one of the candidates must have every write that was acknowledged in a view."""
        sealed = [b for b in view.backups if b in candidates]
        enough = len(view.backups) - int(self.settings.acks_of(len(view.backups))) + 1
        return view.primary in candidates or len(sealed) >= max(enough, 1)
