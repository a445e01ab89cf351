"""A view service: one node that decides which member is the primary, and which are the backups.

After the view service of MIT 6.824, lab 2 ("Primary/Backup Key/Value Service", 2012-2015; DSLabs lab 2 is its
descendant). Members ping it, and it answers with the current view. When the primary is silent, it promotes a backup. It
removes dead backups and adds recovered ones. It is a node on the network and may crash like any other node: its view is
on disk, and while it is down, views do not change.

Assumptions: crash faults; the errors of the rates of clocks are at most `MOST_DRIFT`.

Departures from the lab:

- There may be several backups: a view is an ordered list of members; the first is the primary (or head).
- The lab's service leaves view v only after the primary of v has acknowledged v, so that it never promotes a
  server without state. A primary that crashes before its acknowledgement blocks the lab's service forever. Here a
  member may be promoted if it belongs to *every* view since the last acknowledged one (`ViewService.ready`). As in the
  lab, a member that a view adds can be promoted only once such a view is acknowledged; but a member that was
  initialised all the time may be promoted at any time.
- A member without any log may have lost its disk, and with it what it acknowledged, also in a view of which the service
  does not know that it was acknowledged. So it is not promoted. If *all* members report in the first view that they
  have no log, power failed before their disks had it (not all disks are lost at once), and they begin again in a new
  view.
- State is on disk, so a primary that restarts has lost nothing. It may lead again, in a new view.
- An answer grants the primary a lease: the service deposes no primary within ``detection`` after a ping that it
  answered. If the service judges silence by a detector (`sim.protocols.membership.suspicion`), there are no leases.
"""

from __future__ import annotations

from typing import Any, Protocol

from sim.message import message
from sim.node import Node, durable
from sim.protocols.departures import Stamp
from sim.protocols.membership.suspicion import PUNCTUAL, Rule, Watch

__all__ = [
    "LEASE",
    "MOST_DRIFT",
    "NO_VIEW",
    "Ping",
    "View",
    "ViewIs",
    "ViewRules",
    "ViewService",
    "ViewSettings",
]

LEASE = 0.9
"""A lease lasts this fraction of the detection time, because the rates of clocks may differ."""

MOST_DRIFT = (1 - LEASE) / (1 + LEASE)
"""The largest error of a clock's rate: the lease of a holder with a slow clock ends before a fast service acts."""


@message
class View:
    """The ``members`` in order: the first is the primary (in a chain: the first is the head, the last the tail).

    ``after``: the last acknowledged view when this was sent. The primary of this view must have the log of that view.
    ``begins``: the history begins with this view, because no member has begun the one before it.
    """

    number: int
    members: tuple[str, ...]
    after: int = 0
    begins: bool = False

    @property
    def primary(self) -> str:
        """The first member."""
        return self.members[0]

    @property
    def backups(self) -> tuple[str, ...]:
        """The members after the first."""
        return self.members[1:]


NO_VIEW = View(0, ("",))


@message
class Ping:
    """The sender is alive, knows view ``view`` and has the log of view ``holds`` (0: none, it lost its disk).

    The other fields count only from the primary of that view.
    ``serving``: it acts as primary in ``view``; always False after it has crashed or resigned in that view.
    ``synced``: all members of the view have the whole log; this acknowledges the view.
    ``silent``: backups that have not answered for the detection time. ``joined``: other members that have caught up.
    ``asked``: the sender's stamp (`sim.protocols.departures`).
    """

    view: int
    holds: int
    asked: Stamp
    serving: bool = False
    synced: bool = False
    silent: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()


@message
class ViewIs:
    """The current view. ``asked``: the stamp of the last ping from which the receiver's lease may count."""

    view: View
    asked: Stamp | None


class ViewSettings(Protocol):
    """The settings that the service uses, from the system that it serves."""

    heartbeat: float | None
    detection: float | None
    detector: Rule | None

    @property
    def first_view(self) -> View: ...


class ViewRules(Node):
    """The rules for decisions on views; subclasses store the decisions (`ViewService`, a Raft group)."""

    settings: Any  # ViewSettings
    view: View
    ready: tuple[str, ...]  # members of every view since the last acknowledged one
    acknowledged_view: int  # the last view whose primary reported that all its members have its log

    def serve(self) -> None:
        """Begin to serve: no member is suspected yet."""
        # A service that was down does not know which members pinged, and on which leases they rely.
        self.heard = dict.fromkeys(self.settings.first_view.members, self.monotonic)
        self.asked: dict[str, Stamp] = {}
        self.holds = dict.fromkeys(self.heard, 0)
        rule = self.settings.detector
        detection = self.settings.detection_timeout
        self.watches: dict[str, Watch] = {}  # with a detector: member -> its watch
        if rule is not None:
            self.watches = {
                m: rule.watch(self.monotonic, self.settings.heartbeat_interval, detection) for m in self.heard
            }
        self.pings = dict.fromkeys(self.heard, 0)
        self._begin()

    def _begin(self) -> None:
        """A view begins: reset what is known about it."""
        self.since = self.monotonic
        self.taken_up = False  # the primary has pinged with this view's number
        self.resigned = False
        self.silent: tuple[str, ...] = ()
        self.joined: tuple[str, ...] = ()
        self.empty: dict[str, bool] = {}  # member that knows this view -> whether it has no log

    def on_ping(self, src: str, msg: Ping) -> None:
        self.heard[src] = self.monotonic
        if self.watches:
            self.pings[src] += 1
            self.watches[src].heard(self.monotonic, self.pings[src])
        self.holds[src] = msg.holds
        current = msg.view == self.view.number
        if current:
            self.empty[src] = msg.holds == 0
        if current or src != self.view.primary:
            self.asked[src] = msg.asked
        if current and src == self.view.primary:
            self._hear_primary(msg)
        self._reconsider()
        # It may be acknowledged by now: then a primary that has lost its disk since must not lead it again.
        view = View(self.view.number, self.view.members, self.acknowledged_view, self.view.begins)
        self.send(src, ViewIs(view, self.lease_of(src)))

    def lease_of(self, member: str) -> Stamp | None:
        """The stamp of the ping from which a lease of this member may count."""
        return self.asked.get(member)

    def _hear_primary(self, msg: Ping) -> None:
        self.taken_up = True
        self.resigned = self.resigned or not msg.serving
        self.silent, self.joined = msg.silent, msg.joined
        if msg.synced and self.acknowledged_view < msg.view:
            self.decide(self.view, self.view.members, msg.view)

    def on_check_timeout(self) -> None:
        self._excuse_if_late()
        self._check_again()
        self._reconsider()

    def _check_again(self) -> None:
        self.check_due = self.monotonic + self.settings.heartbeat_interval
        self.set_timer("check", self.settings.heartbeat_interval)

    def _excuse_if_late(self) -> None:
        """If the service was paused, the silence says nothing about members: begin to watch all of them again."""
        if self.monotonic - self.check_due > PUNCTUAL:
            self.record("late", seconds=self.monotonic - self.check_due)
            self.heard = dict.fromkeys(self.heard, self.monotonic)
            self.since = self.monotonic
            for watch in self.watches.values():
                watch.excuse(self.monotonic)

    # Deciding

    def is_alive(self, member: str) -> bool:
        """Whether a member has pinged within the detection time, or is not suspected by the detector."""
        if self.watches:
            return self.monotonic < self.watches[member].deadline
        timeout: float = self.settings.detection_timeout
        return self.monotonic - self.heard[member] < timeout

    def is_initialised(self, member: str) -> bool:
        """Whether a member has everything that was ever acknowledged: it was in all views, and kept its log."""
        return member in self.ready and self.holds[member] >= self.oldest_log

    @property
    def oldest_log(self) -> int:
        """A log of an earlier view than this may lack what was acknowledged."""
        return max(self.acknowledged_view, 1)

    def _nobody_has_begun(self) -> bool:
        first = self.settings.first_view
        beginning = (
            self.view.begins or self.view.number == first.number
        )  # else somebody had a log to lead the view
        if self.acknowledged_view or not beginning:
            return False
        return all(self.empty.get(member, False) for member in first.members)

    def _reconsider(self) -> None:
        """Make the next view, if there is a reason for it and it is safe."""
        view = self.view
        if self._nobody_has_begun():
            self._begin_again(self.settings.first_view.members)
            return
        unheeded = not self.taken_up and self.monotonic - self.since >= self.settings.detection_timeout
        if self.is_alive(view.primary) and not self.resigned and not unheeded:
            members = self._without_dead_with_joined()
            if members != view.members:
                self._install(members)
        else:
            self._replace_primary(unheeded)

    def _replace_primary(self, unheeded: bool) -> None:
        """Promote an initialised member, or let a primary that has restarted continue in a new view."""
        alive = [m for m in self.view.members if self.is_alive(m)]
        candidates = [m for m in alive if self.is_initialised(m)]
        if unheeded:  # the primary has not taken up its view
            candidates = [m for m in candidates if m != self.view.primary]
        if candidates:
            self._install((candidates[0], *[m for m in alive if m != candidates[0]]))

    def _without_dead_with_joined(self) -> tuple[str, ...]:
        view = self.view
        kept = [b for b in view.backups if self.is_alive(b) and b not in self.silent]
        new = [m for m in self.joined if m not in view.members and self.is_alive(m)]
        return (view.primary, *kept, *new)

    def _install(self, members: tuple[str, ...]) -> None:
        """Decide on the next view, with these members."""
        view = View(self.view.number + 1, members, self.acknowledged_view)
        self.decide(view, tuple(m for m in self.ready if m in members), self.acknowledged_view)

    def _begin_again(self, members: tuple[str, ...]) -> None:
        self.decide(View(self.view.number + 1, members, 0, True), members, 0)

    def decide(self, view: View, ready: tuple[str, ...], acknowledged: int) -> None:
        """Store a decision: the view, its ready members, and the last acknowledged view."""
        raise NotImplementedError

    def announce(self) -> None:
        """A new view is in force: send it to all members."""
        self._begin()
        self.record("view", view=self.view.number, primary=self.view.primary, backups=self.view.backups)
        for member in self.heard:
            self.send(member, ViewIs(self.view, self.lease_of(member)))


class ViewService(ViewRules):
    """One node that decides on views; while it is down, the present view remains in force."""

    view = durable(NO_VIEW)
    ready = durable(())
    acknowledged_view = durable(0)

    def on_start(self) -> None:
        if self.view.number == 0:
            self.view = self.settings.first_view
            self.ready = self.view.members  # all members are empty, and so is the history
        self.serve()
        self._check_again()

    def decide(self, view: View, ready: tuple[str, ...], acknowledged: int) -> None:
        new = view != self.view
        self.view, self.ready, self.acknowledged_view = view, ready, acknowledged
        if new:
            self.announce()
