"""A view service that tolerates crashes of its servers: its decisions are entries in the log of a Raft group.

The leader of the group serves; a decision is in force once it is committed (`sim.protocols.consensus.raft.node`).
A new leader first commits an entry of its own term, so that it knows all decisions. Then it suspects no member for a
whole detection time, because it does not know which members pinged its predecessor.

A leader that has been replaced without knowing it must not grant leases. So a ping counts for a lease only when the
leader has committed an entry that it appended after the ping: its successor is elected after that, and waits longer
than the lease lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.protocols.command import Command
from sim.protocols.consensus.raft import RaftNode
from sim.protocols.departures import Stamp
from sim.protocols.membership.suspicion import Rule
from sim.protocols.membership.views.service import Ping, View, ViewRules

__all__ = ["RaftViewService", "ViewGroup"]


@dataclass(frozen=True, kw_only=True)
class ViewGroup:
    """The settings of the servers of the group. Times in seconds.

    ``leader``: the first leader. ``leases``: members rely on leases, so leases must be renewed through the log.
    ``detector``: the rule of suspicion; None: suspicion after the detection time.
    """

    leader: str
    first_view: View
    heartbeat: float
    detection: float
    leases: bool
    detector: Rule | None = None

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between heartbeats of the group's leader."""
        return self.heartbeat

    @property
    def detection_timeout(self) -> float:
        """The shortest time (seconds) after which the group elects another leader."""
        return self.detection


class RaftViewService(RaftNode, ViewRules):
    """A server of the group; its leader decides on views."""

    settings: Any  # ViewGroup

    def on_start(self) -> None:
        self.view = self.settings.first_view
        self.ready = self.view.members
        self.acknowledged_view = 0
        self.serving_from = 0  # leader: it serves once this entry is applied; 0 while it is not leader
        self.serving = False
        self.proposed = False  # a decision is in the log, but not applied yet
        self.renewals: dict[int, dict[str, Stamp]] = {}  # entry -> stamps of the pings that came before it
        self.granted: dict[str, Stamp] = {}
        super().on_start()
        self._check_again()

    # Leading

    def become_leader(self) -> None:
        super().become_leader()
        self.serving_from = self.last_index()  # the entry of its own term
        self.renewals.clear()
        self.granted.clear()
        self.proposed = False

    def become_follower(self, leader: str | None) -> None:
        self.serving, self.serving_from = False, 0
        super().become_follower(leader)

    def on_ping(self, src: str, msg: Ping) -> None:
        if self.serving:
            super().on_ping(src, msg)

    def lease_of(self, member: str) -> Stamp | None:
        return self.granted.get(member)

    def on_check_timeout(self) -> None:
        if self.serving:
            self._excuse_if_late()
        self._check_again()
        if self.serving:
            self._reconsider()
            if self.settings.leases and not self.renewals:  # the last one has its place
                asked = dict(self.asked)
                self.renewals[self.append(Command(-1, 0, "renew", ""))] = asked

    # Deciding, through the log

    def decide(self, view: View, ready: tuple[str, ...], acknowledged: int) -> None:
        if not self.proposed:
            self.proposed = True
            self.append(Command(-1, 0, "views", "", (view, ready, acknowledged)))

    def apply(self, index: int, command: Command) -> None:
        super().apply(index, command)
        if command.kind == "views":
            self._decided(*command.value)
        self.granted.update(self.renewals.pop(index, {}))
        if self.role == "leader" and not self.serving and index >= self.serving_from > 0:
            self.serving = True
            self.serve()

    def _decided(self, view: View, ready: tuple[str, ...], acknowledged: int) -> None:
        new = view != self.view
        self.view, self.ready, self.acknowledged_view = view, ready, acknowledged
        self.proposed = False
        if new and self.serving:
            self.announce()
