"""A view service: the one node that says who is primary and who follows.

After the view service of MIT 6.824, lab 2 ("Primary/Backup Key/Value Service", 2012-2015; DSLabs lab 2 is its
descendant). Members ping it; it answers with the current view; when the primary is silent it promotes a backup,
and it takes dead backups out and recovered ones in. It is a node on the network and may crash like any other:
its view is on disk, and while it is down views simply do not change.

Assumptions: crash faults; the rates of clocks differ by less than `LEASE` allows.

Departures from the lab:

- There may be several backups: a view is an ordered list of members, the first of which is primary (or head).
- The lab's service leaves view v only after the primary of v has acknowledged v, so that it never promotes a
  server without state; a primary that dies before its acknowledgement blocks the lab's service for ever. Here a
  member may be promoted if it belongs to *every* view since the last acknowledged one (`ViewService.ready`).
  So a view that adds members is in force only once it is acknowledged, as in the lab; but a member that was
  initialised all along may take over at any time.
- State is on disk, so a primary that restarts has lost none of it. It may lead again, in a new view.
- Answers grant the primary a lease: the service deposes nobody within ``detection`` of a ping that it answered,
  unless it judges silence by a detector (`sim.protocols.membership.suspicion`): then no lease may be relied on.
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
"""A lease lasts this fraction of the detection time: clock rates may differ by a tenth."""

MOST_DRIFT = (1 - LEASE) / (1 + LEASE)
"""So much may the rate of each clock be wrong: a slow holder and a fast service still agree on who holds a lease."""


@message
class View:
    """Who serves: ``members`` in order, the first is primary (of a chain: the head, and the last the tail).

    ``after``: the last view that had been acknowledged when this one was made. The primary of this view must
    hold the log of that one.
    """

    number: int
    members: tuple[str, ...]
    after: int = 0

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
    """A member is alive, knows view ``view`` and holds the log of view ``holds`` (or none: it lost its disk).

    The rest counts from the primary of that view.
    ``serving``: it acts as primary in ``view``. False for good once it has crashed or resigned in that view.
    ``synced``: all members of the view hold the whole log: this acknowledges the view.
    ``silent``: backups that have not answered for the detection time. ``joined``: outsiders that have caught up.
    ``asked``: the sender's stamp on it (`sim.protocols.departures`).
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
    """The current view. ``asked``: of the last ping on which a lease of the receiver may rest."""

    view: View
    asked: Stamp | None


class ViewSettings(Protocol):
    """What the service needs to know of the system that it serves."""

    heartbeat: float | None
    detection: float | None
    detector: Rule | None

    @property
    def first_view(self) -> View: ...


class ViewRules(Node):
    """How views are decided on; subclasses keep the decisions (`ViewService`, a Raft group)."""

    settings: Any  # ViewSettings
    view: View
    ready: tuple[str, ...]  # members of every view since the last acknowledged one
    acknowledged_view: int  # the last view whose primary said that all its members hold its log

    def serve(self) -> None:
        """Begin to serve: nobody is suspected yet."""
        # A service that was down does not know who pinged meanwhile, nor on which leases they rely.
        self.heard = dict.fromkeys(self.settings.first_view.members, self.monotonic)
        self.asked: dict[str, Stamp] = {}
        self.holds = dict.fromkeys(self.heard, 0)
        rule = self.settings.detector
        detection = self.settings.detection_timeout
        self.watches: dict[str, Watch] = {}  # with a detector of its own, what it thinks of each member
        if rule is not None:
            self.watches = {
                m: rule.watch(self.monotonic, self.settings.heartbeat_interval, detection) for m in self.heard
            }
        self.pings = dict.fromkeys(self.heard, 0)
        self._begin()

    def _begin(self) -> None:
        """A view begins: nothing is known yet of how it goes."""
        self.since = self.monotonic
        self.taken_up = False  # the primary has pinged with this view's number
        self.resigned = False
        self.silent: tuple[str, ...] = ()
        self.joined: tuple[str, ...] = ()

    def on_ping(self, src: str, msg: Ping) -> None:
        self.heard[src] = self.monotonic
        if self.watches:
            self.pings[src] += 1
            self.watches[src].heard(self.monotonic, self.pings[src])
        self.holds[src] = msg.holds
        current = msg.view == self.view.number
        if current or src != self.view.primary:
            self.asked[src] = msg.asked
        if current and src == self.view.primary:
            self._hear_primary(msg)
        self._reconsider()
        self.send(src, ViewIs(self.view, self.lease_of(src)))

    def lease_of(self, member: str) -> Stamp | None:
        """The ping on which a lease of this member may rest."""
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
        """A service that stood still has heard nobody, which says nothing of them: all have a fresh start."""
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
        """Whether a member holds all that was ever acknowledged: it was there all the time, and still has it."""
        return member in self.ready and self.holds[member] >= self.acknowledged_view

    def _reconsider(self) -> None:
        """Make the next view, if there is reason to and it is safe."""
        view = self.view
        unheeded = not self.taken_up and self.monotonic - self.since >= self.settings.detection_timeout
        if self.is_alive(view.primary) and not self.resigned and not unheeded:
            members = self._without_dead_with_joined()
            if members != view.members:
                self._install(members)
        else:
            self._replace_primary(unheeded)

    def _replace_primary(self, unheeded: bool) -> None:
        """Promote an initialised member, or let the primary that has come back go on in a new view."""
        alive = [m for m in self.view.members if self.is_alive(m)]
        candidates = [m for m in alive if self.is_initialised(m)]
        if unheeded:  # one that does not heed its view is no use
            candidates = [m for m in candidates if m != self.view.primary]
        if candidates:
            self._install((candidates[0], *[m for m in alive if m != candidates[0]]))

    def _without_dead_with_joined(self) -> tuple[str, ...]:
        view = self.view
        kept = [b for b in view.backups if self.is_alive(b) and b not in self.silent]
        new = [m for m in self.joined if m not in view.members and self.is_alive(m)]
        return (view.primary, *kept, *new)

    def _install(self, members: tuple[str, ...]) -> None:
        """The next view has these members."""
        view = View(self.view.number + 1, members, self.acknowledged_view)
        self.decide(view, tuple(m for m in self.ready if m in members), self.acknowledged_view)

    def decide(self, view: View, ready: tuple[str, ...], acknowledged: int) -> None:
        """Change what is decided."""
        raise NotImplementedError

    def announce(self) -> None:
        """A new view is in force: tell everybody."""
        self._begin()
        self.record("view", view=self.view.number, primary=self.view.primary, backups=self.view.backups)
        for member in self.heard:
            self.send(member, ViewIs(self.view, self.lease_of(member)))


class ViewService(ViewRules):
    """One node that decides on views; its own crash stops view changes, not the view in force."""

    view = durable(NO_VIEW)
    ready = durable(())
    acknowledged_view = durable(0)

    def on_start(self) -> None:
        if self.view.number == 0:
            self.view = self.settings.first_view
            self.ready = self.view.members  # all are empty, and so is the history
        self.serve()
        self._check_again()

    def decide(self, view: View, ready: tuple[str, ...], acknowledged: int) -> None:
        new = view != self.view
        self.view, self.ready, self.acknowledged_view = view, ready, acknowledged
        if new:
            self.announce()
