"""A server: works on requests for as long as its service times say, on the cores of its host.

The host's discipline (first come first served, processor sharing, priority) decides who is served, and its
cores how many at once, unless the server has a number of ``workers`` and so a queue of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sim.node import Node
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.service_times import ServiceTime, as_service_time

__all__ = ["Server", "ServerNode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one server is like.

    Parameters
    ----------
    service:
        Seconds of work per request: see `as_service_time`. None: the system's.
    weight:
        Its share, for policies that weigh (> 0).
    queue_limit:
        How many requests it holds, those being served included; None: any number.
    when_full:
        ``"reject"`` answers at once that it is full; ``"drop"`` says nothing.
    place:
        Where it stands; None: the topology decides.
    """

    service: Any = None
    weight: float = 1.0
    queue_limit: int | None = None
    when_full: Literal["reject", "drop"] = "reject"
    place: str | None = None

    def __post_init__(self) -> None:
        if self.service is not None:
            object.__setattr__(self, "service", as_service_time(self.service))
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"Server: weight must be positive, not {self.weight!r}")
        if self.queue_limit is not None and not self.queue_limit >= 1:
            raise ValueError(f"Server: queue_limit must be at least 1, not {self.queue_limit!r}")
        if self.when_full not in ("reject", "drop"):
            raise ValueError(f"Server: when_full must be 'reject' or 'drop', not {self.when_full!r}")


class ServerNode(Node):
    """Serves requests. Counters: ``received = served + refused + dropped + requests`` (in the server now)."""

    def on_start(self) -> None:
        system, server = self.settings
        self.server: Server = server
        self.service: ServiceTime = server.service or system.service
        self.limit = float("inf") if server.queue_limit is None else server.queue_limit
        self.requests = self.received = self.served = self.refused = self.dropped = 0

    def on_ask(self, src: str, msg: Ask) -> None:
        self.received += 1
        if self.requests >= self.limit:
            self.turn_away(src, msg)
            return
        self.requests += 1
        self.work("serve", self.service.draw(self.random), (src, msg.ticket))

    def turn_away(self, src: str, msg: Ask) -> None:
        """The queue is full."""
        if self.server.when_full == "drop":
            self.dropped += 1
        else:
            self.refused += 1
            self.send(src, Answer(msg.ticket, "rejected", self.requests))

    def on_serve_done(self, key: tuple[str, int]) -> None:
        src, ticket = key
        self.requests -= 1
        self.served += 1
        self.send(src, Answer(ticket, "ok", self.requests))

    def gauges(self) -> dict[str, float]:
        """Requests in the server now, those being served included."""
        return {"requests": float(self.requests)}
