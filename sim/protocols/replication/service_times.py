"""Processor time of operations at a server, in addition to its host's cost of messages.

A system with ``costs`` runs its servers as `Paced` subclasses: requests and shipped updates wait in the queue of the
cores (`Node.work`) before they are handled, as in the model of van Renesse & Schneider (OSDI 2004, section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.node import Node
from sim.protocols.client import Request
from sim.settings import Value, Wait
from sim.system import System

__all__ = ["Paced", "ServiceTimes", "check_costs"]


@dataclass(frozen=True, slots=True)
class ServiceTimes(Value):
    """Core seconds for a ``query``, for an ``update`` at the server that orders it, and to ``apply`` its outcome.

    Raises ValueError for a negative time.
    """

    query: Wait = 0.0
    update: Wait = 0.0
    apply: Wait = 0.0

    def of(self, request: Request, reads: frozenset[str]) -> float:
        """Core seconds of a client's request at the server that answers or orders it; ``reads``: kinds of reads."""
        return self.query if request.command.kind in reads else self.update


def check_costs(system: System, costs: ServiceTimes | None) -> None:
    """Raise ValueError for costs that are neither None nor `ServiceTimes`."""
    if not isinstance(costs, ServiceTimes | None):
        raise ValueError(f"{type(system).__name__}: costs must be ServiceTimes(...) or None, not {costs!r}")


class Paced(Node):
    """A node that handles requests given to `pace` in order, when a core has finished their service time."""

    _paced = 0

    def pace(self, seconds: float, handler: Callable[[str, Any], None], src: str, msg: Any) -> None:
        """Call ``handler(src, msg)`` after ``seconds`` of work, which is queued behind earlier work."""
        self._paced += 1
        self.work("service", seconds, (self._paced, handler, src, msg))

    def on_service_done(self, job: tuple[int, Callable[[str, Any], None], str, Any]) -> None:
        _, handler, src, msg = job
        handler(src, msg)
