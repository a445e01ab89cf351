"""Servers of a chain with service times: the server classes of chains with ``costs`` (`ServiceTimes`)."""

from __future__ import annotations

from sim.protocols.client import Request
from sim.protocols.replication.chain.craq import CraqNode
from sim.protocols.replication.chain.node import ChainNode, Forward
from sim.protocols.replication.service_times import Paced, ServiceTimes

__all__ = ["PacedChainNode", "PacedCraqNode"]


class PacedChainNode(ChainNode, Paced):
    """A server of a chain whose requests take processor time."""

    @property
    def _costs(self) -> ServiceTimes:
        return self.settings.costs or ServiceTimes()

    def serves(self, request: Request) -> bool:
        """Whether this server answers or orders a request; forwarding other requests costs nothing."""
        return self.succ is None if request.command.kind in self.store.reads else self.pred is None

    def on_request(self, src: str, msg: Request) -> None:
        self.pace(
            self._costs.of(msg, self.store.reads) if self.serves(msg) else 0.0, super().on_request, src, msg
        )

    def on_forward(self, src: str, msg: Forward) -> None:
        self.pace(self._costs.apply * len(msg.updates), super().on_forward, src, msg)


class PacedCraqNode(PacedChainNode, CraqNode):
    """A server of CRAQ whose requests take processor time; a version query costs nothing."""

    def serves(self, request: Request) -> bool:
        return request.command.kind in self.store.reads or self.pred is None
