"""A server: it works on each request for a drawn service time, on the cores of its machine.

The discipline of the machine (first come first served, processor sharing, priority) and its cores decide which and how
many requests are served, unless the server has a number of ``workers``, and so its own queue. Only then does it know
when a request begins, and can drop expired requests, control the delay, and cancel tied copies.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal

from sim.distributions import Distribution, as_work
from sim.node import Node
from sim.protocols.balancing.guards import CodelQueue, QueueTimeout
from sim.protocols.balancing.messages import (
    Answer,
    Ask,
    Busy,
    Cancel,
    CheckHealth,
    Healthy,
    Idle,
    Load,
    Probe,
)
from sim.settings import Bounds, Count, Positive, Seconds, Share, Value, Wait

__all__ = ["Codel", "QueueingServerNode", "Server", "ServerNode", "VariedServerNode"]

Key = tuple[str, Any]  # the sender of a request, and its ticket


@dataclass(frozen=True, slots=True)
class Codel(Value):
    """Controlled delay: drops requests while waits in the queue stay above ``target`` for ``interval`` (seconds).

    ``law="sqrt"`` drops single requests, more and more often, so that senders that react to drops slow down (Nichols,
    Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012). ``law="timeout"`` is for senders that do not react:
    if the queue has not been empty for an interval, it drops all requests that have waited longer than the target;
    otherwise those that have waited longer than the interval (Maurer, "Fail at Scale", ACM Queue 13(8), 2015).
    """

    target: Seconds = 0.005
    interval: Seconds = 0.100
    law: Literal["sqrt", "timeout"] = "sqrt"

    def __post_init__(self) -> None:
        if not self.target < self.interval:
            raise ValueError(
                f"Codel: target < interval must hold, not {self.target!r} s, {self.interval!r} s"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Value):
    """The properties of a server.

    Parameters
    ----------
    service:
        Seconds of work per request: see `sim.distributions.as_work`. None: that of the system.
    weight:
        Its weight, for weighted policies (> 0).
    workers:
        The number of requests that it works on at the same time; the others wait in its own queue, first come first
        served. None: all requests go to the machine at once; its cores and discipline decide.
    queue_limit:
        The largest number of requests in the server, including those being served; None: no limit.
    when_full:
        ``"reject"``: it answers at once that it is full. ``"drop"``: it does not answer.
    codel:
        Controlled delay of its queue (needs ``workers``).
    warm_up, cold:
        After a start, requests take ``cold`` times as long; this factor falls linearly to 1 within ``warm_up`` seconds.
    errors, error_time:
        The fraction of requests that fail, after ``error_time`` seconds of work (a server that fails fast attracts
        requests from policies that use only load or latency).
    spare:
        It gets no requests until a `Join`.
    place:
        Its place; None: the topology decides.
    """

    service: Any = None
    weight: Positive = 1.0
    workers: Count | None = None
    queue_limit: Count | None = None
    when_full: Literal["reject", "drop"] = "reject"
    codel: Codel | None = None
    warm_up: Wait = 0.0
    cold: Annotated[float, Bounds("at least 1", least=1)] = 1.0
    errors: Share = 0.0
    error_time: Wait = 0.001
    spare: bool = False
    place: str | None = None

    def __post_init__(self) -> None:
        if self.service is not None:
            object.__setattr__(self, "service", as_work(self.service, "Server: service"))
        if self.codel is not None and self.workers is None:
            raise ValueError(f"Server: {self.codel!r} needs a queue of the server's own: set workers")


class ServerNode(Node):
    """A plain server: all its requests go to the machine at once.

    Counters: ``received = served + failed + refused + dropped + cancelled + expired + requests``; the last is the
    number of requests in the server now. ``work_done``: seconds of work that it has accepted.
    """

    def on_start(self) -> None:
        system, server = self.settings
        self.server: Server = server
        service: Distribution = server.service or system.service
        self.draw: Callable[[], float] = service.drawer(self.random)
        self.limit = inf if server.queue_limit is None else server.queue_limit
        self.requests = self.received = self.served = self.failed = 0
        self.refused = self.dropped = self.cancelled = self.expired = 0
        self.work_done = 0.0

    # Requests

    def on_ask(self, src: str, msg: Ask) -> None:
        self.received += 1
        if self.requests >= self.limit:
            self.turn_away(src, msg)
            return
        self.requests += 1
        seconds = self.draw()
        self.work_done += seconds
        self.work("serve", seconds, (src, msg.ticket))

    def on_serve_done(self, key: Key) -> None:
        src, ticket = key
        self.requests -= 1
        self.served += 1
        self.send(src, Answer(ticket, "ok", self.requests))

    def turn_away(self, src: str, msg: Ask) -> None:
        """The queue is full: reject the request, or drop it."""
        if self.server.when_full == "drop":
            self.dropped += 1
        else:
            self.refused += 1
            self.send(src, Answer(msg.ticket, "rejected", self.requests))

    def on_cancel(self, src: str, msg: Cancel) -> None:
        key = (msg.owner or src, msg.ticket)
        if self.take_off(key, begun_too=not msg.owner):
            self.requests -= 1
            self.cancelled += 1

    def take_off(self, key: Key, begun_too: bool) -> bool:
        """Remove a request from the server (one being served only if ``begun_too``); False if it is not there."""
        return begun_too and self.cancel_work("serve", key)

    # Probes, health checks, gauges

    def on_probe(self, src: str, msg: Probe) -> None:
        self.send(src, Load(msg.number, self.requests, self.latency(), self.work_done))

    def latency(self) -> float:
        """The expected latency (seconds) of a request; 0 for a server that does not measure it."""
        return 0.0

    def on_check_health(self, src: str, msg: CheckHealth) -> None:
        self.send(src, Healthy(msg.number))

    def gauges(self) -> dict[str, float]:
        """The number of requests in the server now, including those being served, and the number received so far."""
        return {"requests": float(self.requests), "received": float(self.received)}


class VariedServerNode(ServerNode):
    """A server with errors, warm-up, priorities, reports of its latency, or messages when it is idle."""

    def on_start(self) -> None:
        super().on_start()
        system = self.settings[0]
        self._started = self.monotonic
        self._priority: dict[str, int] = system.priority_of
        self._doomed: dict[Key, None] = {}  # requests being served that will fail
        self._balancers: tuple[str, ...] = system.balancer_names
        self._reports = system.policy.needs == "reports"
        self._came: dict[
            Key, tuple[float, int]
        ] = {}  # for reports: time of arrival, number of other requests
        self._history: deque[tuple[int, float]] = deque(maxlen=64)  # (others at arrival, latency)
        self._tells_idle = system.policy.needs == "idle"
        self._queued_at = ""  # the balancer that has this server in its idle queue
        self._notice = self.incarnation << 40  # larger than all numbers of earlier incarnations
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if self._tells_idle and self.requests == 0 and not self._queued_at:
            self._notice += 1
            self._queued_at = self.random.choice(self._balancers)
            self.send(self._queued_at, Idle(self._notice))

    def _leave_idle_queue(self, msg: Ask) -> None:
        """The first request after `Idle`: if the server was not picked because of it, withdraw it by `Busy`."""
        if self._queued_at and msg.idle != self._notice:
            self.send(self._queued_at, Busy(self._notice))
        self._queued_at = ""

    def on_ask(self, src: str, msg: Ask) -> None:
        self.received += 1
        self._leave_idle_queue(msg)
        if self.requests >= self.limit:
            self.turn_away(src, msg)
            return
        self.requests += 1
        if self._reports:
            self._came[src, msg.ticket] = (self.monotonic, self.requests - 1)
        self.begin(src, msg)

    def begin(self, src: str, msg: Ask) -> None:
        """Begin to serve a request."""
        key = (src, msg.ticket)
        seconds = self._adjusted(key, self.draw())
        self.work_done += seconds
        self.work("serve", seconds, key, priority=self._priority.get(msg.command.kind, 0))

    def _adjusted(self, key: Key, seconds: float) -> float:
        server = self.server
        if server.errors and self.random.chance(server.errors):
            self._doomed[key] = None
            return server.error_time
        age = self.monotonic - self._started
        if age < server.warm_up:
            return seconds * (server.cold + (1.0 - server.cold) * age / server.warm_up)
        return seconds

    def on_serve_done(self, key: Key) -> None:
        if key in self._doomed:
            del self._doomed[key]
            self.requests -= 1
            self.failed += 1
            self.send(key[0], Answer(key[1], "error", self.requests))
        else:
            super().on_serve_done(key)
        if self._reports:
            at, others = self._came.pop(key)
            self._history.append((others, self.monotonic - at))
        self._tell_if_idle()

    def on_cancel(self, src: str, msg: Cancel) -> None:
        before = self.cancelled
        super().on_cancel(src, msg)
        if self.cancelled > before:
            key = (msg.owner or src, msg.ticket)
            self._doomed.pop(key, None)
            self._came.pop(key, None)
            self._tell_if_idle()

    def latency(self) -> float:
        """The median latency (seconds) of recent requests that arrived when the server had about the present load."""
        if not self._history:
            return 0.0
        nearest = min(abs(others - self.requests) for others, _ in self._history)
        alike = sorted(s for others, s in self._history if abs(others - self.requests) == nearest)
        return alike[len(alike) // 2]


class QueueingServerNode(VariedServerNode):
    """A server with ``workers`` and its own queue."""

    def on_start(self) -> None:
        self.queue: OrderedDict[Key, tuple[Ask, float]] = OrderedDict()
        self.busy = 0
        codel: Codel | None = self.settings[1].codel
        law = QueueTimeout if codel is not None and codel.law == "timeout" else CodelQueue
        self._codel = law(codel.target, codel.interval) if codel is not None else None
        super().on_start()

    def begin(self, src: str, msg: Ask) -> None:
        self.queue[src, msg.ticket] = (msg, self.monotonic)
        self._next()

    def _next(self) -> None:
        """Begin requests from the queue while workers are free."""
        assert self.server.workers is not None
        while self.queue and self.busy < self.server.workers:
            key, (msg, came) = self.queue.popitem(last=False)
            if self._is_to_go(key, msg, came):
                self.busy += 1
                if msg.tied_to:
                    self.send(msg.tied_to, Cancel(msg.tied_ticket, owner=key[0]))
                super().begin(key[0], msg)

    def _is_to_go(self, key: Key, msg: Ask, came: float) -> bool:
        """Whether to serve a request: it has not expired, and controlled delay does not drop it."""
        now = self.monotonic
        if now - came >= msg.timeout:
            self.requests -= 1
            self.expired += 1
            self._came.pop(key, None)
            return False
        if self._codel is not None and self._codel.drops(now - came, len(self.queue), now):
            self.requests -= 1
            self.refused += 1
            self._came.pop(key, None)
            self.send(key[0], Answer(key[1], "rejected", self.requests))
            return False
        return True

    def on_serve_done(self, key: Key) -> None:
        self.busy -= 1
        super().on_serve_done(key)
        self._next()

    def take_off(self, key: Key, begun_too: bool) -> bool:
        if self.queue.pop(key, None) is not None:
            return True
        if begun_too and self.cancel_work("serve", key):
            self.busy -= 1
            self._next()
            return True
        return False
