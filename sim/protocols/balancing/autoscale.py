"""Autoscaling: adds and drains servers by a rule on their utilisation."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any

from sim.node import Node
from sim.protocols.admin import AdminReply, Drain, Join
from sim.protocols.balancing.messages import Load, Probe
from sim.settings import Bounds, Count, Seconds, Value, Wait

__all__ = ["Autoscale", "ScalerNode"]


@dataclass(frozen=True, slots=True)
class Autoscale(Value):
    """Keep the mean utilisation of the servers near ``target``.

    Every ``every`` seconds: wanted = ceil(servers x utilisation / target), unless the utilisation is within a
    tenth of the target (the rule of Kubernetes' horizontal pod autoscaler). Spares join ``start_delay`` seconds after
    the decision; servers are drained only after fewer have been wanted for ``calm`` seconds.

    ``least``: the smallest number of servers. The largest number is that of the servers that the system declares.
    """

    target: Annotated[float, Bounds("in (0, 1]", above=0, most=1)] = 0.6
    every: Seconds = 5.0
    start_delay: Wait = 10.0
    calm: Wait = 30.0
    least: Count = 1


class ScalerNode(Node):
    """Watches the utilisation of the servers, and tells the balancers which servers join and which are drained."""

    def on_start(self) -> None:
        system = self.settings
        self.rule: Autoscale = system.autoscale
        self.names: tuple[str, ...] = system.names
        self.workers = {
            name: server.workers or 1 for name, server in zip(system.names, system.all_servers, strict=True)
        }
        spares = system.spare_names
        self.active = [name for name in self.names if name not in spares]
        self.starting: list[str] = []
        self._work: dict[str, float] = {}  # server -> seconds of work done until the last round
        self._utilisation: dict[str, float] = {}
        self._fewer_since: float | None = None
        self.set_timer("round", self.rule.every)
        for name in self.names:
            self.send(name, Probe(0))

    def on_load(self, src: str, msg: Load) -> None:
        before = self._work.get(src)
        self._work[src] = msg.work_done
        if before is not None:
            self._utilisation[src] = min(
                1.0, (msg.work_done - before) / (self.rule.every * self.workers[src])
            )

    def on_round_timeout(self) -> None:
        """Probe every server, and decide a tenth of the period later, when they have answered.

        The members are sent to the balancers each time, because a balancer loses them when it restarts.
        """
        self.set_timer("round", self.rule.every)
        self.set_timer("judge", self.rule.every / 10)
        for name in self.names:
            self.send(name, Probe(0))
            self._tell(Join(name) if name in self.active else Drain(name))

    def on_admin_reply(self, src: str, msg: AdminReply) -> None:
        """No effect: the members are sent again in the next round anyway."""

    def on_judge_timeout(self) -> None:
        """Decide by the utilisation that the servers reported."""
        known = [self._utilisation[name] for name in self.active if name in self._utilisation]
        if known:
            self._judge(sum(known) / len(known))

    def _judge(self, utilisation: float) -> None:
        rule, now = self.rule, self.monotonic
        have = len(self.active) + len(self.starting)
        off = utilisation / rule.target
        wanted = have if abs(off - 1.0) <= 0.1 else max(rule.least, ceil(len(self.active) * off))
        if wanted > have:
            self._start(wanted - have)
        if wanted >= len(self.active):
            self._fewer_since = None
        elif self._fewer_since is None:
            self._fewer_since = now
        elif now - self._fewer_since >= rule.calm:
            self._fewer_since = None
            for name in self.active[wanted:]:
                self._tell(Drain(name))
            del self.active[wanted:]

    def _start(self, count: int) -> None:
        off = [name for name in self.names if name not in self.active and name not in self.starting]
        for name in off[:count]:
            self.starting.append(name)
            self.set_timer("started", self.rule.start_delay, name)
            self.record("starting", server=name)

    def on_started_timeout(self, name: str) -> None:
        """A spare has started: tell the balancers."""
        self.starting.remove(name)
        self.active.append(name)
        self._tell(Join(name))

    def _tell(self, msg: Any) -> None:
        for balancer in self.settings.balancer_names:
            self.send(balancer, msg)

    def gauges(self) -> dict[str, float]:
        """The number of active servers, without those that are starting."""
        return {"servers": float(len(self.active))}
