"""Information for balancers: polls, gossip and idle servers for the load, checks for the health of servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Part
from sim.protocols.balancing.messages import Busy, CheckHealth, Healthy, Idle, InFlight, Probe

if TYPE_CHECKING:
    from sim.protocols.balancing.dispatcher import Dispatcher

__all__ = ["HealthWatch", "LoadNews"]

POLL = 0
"""The number in the probes with which a balancer polls all servers."""


class LoadNews(Part):
    """Polls all servers, gossips with the other balancers, and handles `Idle` and `Busy`, as the system requires.

    All balancers poll, and gossip, at the same times, the multiples of the period: the "bulletin board" that is renewed
    periodically (Mitzenmacher, "How Useful Is Old Information?").
    """

    @property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher of the same node."""
        node: Any = self.node
        found: Dispatcher = node.dispatcher
        return found

    def on_start(self) -> None:
        node: Any = self.node
        self._poll: float | None = node.balanced.poll
        self._gossip: float | None = node.balanced.gossip
        self._heard: dict[str, tuple[int, ...]] = {}
        if self._poll is not None:
            self.on_poll_timeout()
        if self._gossip is not None:
            self.set_timer("gossip", self._gossip)

    def on_poll_timeout(self) -> None:
        """Ask every server for its load."""
        assert self._poll is not None
        self.set_timer("poll", self._poll)
        for backend in self.dispatcher.pool.members:
            self.node.send(backend.name, Probe(POLL))

    def on_gossip_timeout(self) -> None:
        """Send the other balancers the numbers of requests in flight from here."""
        assert self._gossip is not None
        self.set_timer("gossip", self._gossip)
        counts = tuple(backend.in_flight for backend in self.dispatcher.pool.by_name.values())
        self.node.broadcast(InFlight(counts))

    def on_in_flight(self, src: str, msg: InFlight) -> None:
        self._heard[src] = msg.counts
        for backend in self.dispatcher.pool.by_name.values():
            backend.others = sum(counts[backend.index] for counts in self._heard.values())

    def on_idle(self, src: str, msg: Idle) -> None:
        backend = self.dispatcher.pool.by_name[src]
        if msg.number > backend.notice:  # else a `Busy` that withdraws it arrived first
            backend.notice = msg.number
            self.dispatcher.policy.idle(self.dispatcher.pool, backend)

    def on_busy(self, src: str, msg: Busy) -> None:
        backend = self.dispatcher.pool.by_name[src]
        if msg.number >= backend.notice:
            backend.notice = msg.number
            self.dispatcher.policy.busy(self.dispatcher.pool, backend)


class HealthWatch(Part):
    """Active health checks: see `sim.protocols.balancing.resilience.HealthChecks`."""

    def on_start(self) -> None:
        node: Any = self.node
        self.checks = node.balanced.guards.checks
        self._number = self.incarnation << 40
        self._well: dict[str, None] = {}
        self._streak: dict[str, int] = {}  # server -> checks in a row that contradict its present state
        if self.checks is not None:
            self.set_timer("check", self.checks.interval)

    def on_check_timeout(self) -> None:
        """Send a health check to every server."""
        node: Any = self.node
        self._number += 1
        self._well.clear()
        self.set_timer("check", self.checks.interval)
        self.set_timer("judge", self.checks.timeout)
        for backend in node.dispatcher.pool.members:
            node.send(backend.name, CheckHealth(self._number))

    def on_healthy(self, src: str, msg: Healthy) -> None:
        if msg.number == self._number:
            self._well[src] = None

    def on_judge_timeout(self) -> None:
        """Evaluate the check: servers that have not answered in time have failed it."""
        node: Any = self.node
        pool = node.dispatcher.pool
        for backend in pool.members:
            if (backend.name in self._well) == backend.healthy:
                self._streak[backend.name] = 0
                continue
            self._streak[backend.name] = streak = self._streak.get(backend.name, 0) + 1
            if streak >= (self.checks.fall if backend.healthy else self.checks.rise):
                backend.healthy = not backend.healthy
                self._streak[backend.name] = 0
                if backend.healthy:
                    backend.joined_at = self.monotonic
                self.record("healthy" if backend.healthy else "unhealthy", server=backend.name)
        was_panicking = pool.panicking
        pool.refresh()
        if pool.panicking != was_panicking:
            self.record("panic" if pool.panicking else "calm")
