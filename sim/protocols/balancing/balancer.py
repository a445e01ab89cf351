"""A balancer: a node between clients and servers that forwards each request to one of the servers."""

from __future__ import annotations

from typing import Any

from sim.node import Node, part
from sim.protocols.balancing.dispatcher import Dispatcher
from sim.protocols.balancing.messages import Answer
from sim.protocols.balancing.news import HealthWatch, LoadNews
from sim.protocols.balancing.pool import Backend
from sim.protocols.balancing.resilient import ResilientDispatcher

__all__ = ["BalancerNode", "ResilientBalancerNode"]


class BalancerNode(Node):
    """Forwards requests to servers, and their answers to clients."""

    dispatcher = part(Dispatcher)

    @property
    def balanced(self) -> Any:
        """The system."""
        return self.settings

    def concluded(self, client: str, ticket: Any, answer: Answer, backend: Backend | None) -> None:
        """Send the client the answer to its request."""
        self.send(client, Answer(ticket, answer.status, answer.load, answer.value, answer.result))

    def gauges(self) -> dict[str, float]:
        """The number of open requests, and the counters of requests so far: arrived, done, refused, lost."""
        return self.dispatcher.gauges()


class ResilientBalancerNode(BalancerNode):
    """A balancer with all features: resilience, probes, gossip, polls, health checks."""

    dispatcher = part(ResilientDispatcher)
    news = part(LoadNews)
    health = part(HealthWatch)
