"""Invariants of balancers and servers: every request is counted exactly once, and no counter is negative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.balancing.server import ServerNode
from sim.system import Invariant

__all__ = ["WorkConserved"]


@dataclass
class WorkConserved(Invariant):
    """Arrivals = done + under way + refused + lost, at every balancer and server, after every event.

    The number of requests that a balancer counts as in flight equals the number of its open attempts; at the end of the
    run this is also checked for each server.
    """

    title: ClassVar[str] = "work conserved"

    def on_step(self, node: Node) -> None:
        if isinstance(node, ServerNode):
            self._server(node)
        dispatcher = getattr(node, "dispatcher", None)
        if dispatcher is not None:
            self._dispatcher(node.name, dispatcher)

    def _server(self, node: ServerNode) -> None:
        ends = node.served + node.failed + node.refused + node.dropped + node.cancelled + node.expired
        if node.received != ends + node.requests or node.requests < 0:
            self.violated(
                [node.name],
                f"{node.received} requests were received",
                f"{ends} are over, {node.requests} there",
            )

    def _dispatcher(self, name: str, dispatcher: Any) -> None:
        ends = dispatcher.done + dispatcher.refused + dispatcher.lost
        if dispatcher.arrived != ends + dispatcher.under_way:
            self.violated(
                [name],
                f"{dispatcher.arrived} requests arrived",
                f"{ends} are over and {dispatcher.under_way} under way",
            )
        in_flight = 0
        for backend in dispatcher.pool.by_name.values():
            in_flight += backend.in_flight
            if backend.in_flight < 0:
                self.violated([name], f"{backend.in_flight} requests are in flight at {backend.name}")
        if in_flight != len(dispatcher.attempts):
            self.violated(
                [name], f"{in_flight} requests are in flight", f"{len(dispatcher.attempts)} attempts are open"
            )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for node in nodes.values():
            self.on_step(node)
            dispatcher: Any = getattr(node, "dispatcher", None)
            if dispatcher is None:
                continue
            counted = dict.fromkeys(dispatcher.pool.by_name, 0)
            for attempt in dispatcher.attempts.values():
                counted[attempt.backend.name] += 1
            for name, backend in dispatcher.pool.by_name.items():
                if backend.in_flight != counted[name]:
                    self.violated(
                        [node.name, name], f"{backend.in_flight} in flight", f"{counted[name]} attempts"
                    )
