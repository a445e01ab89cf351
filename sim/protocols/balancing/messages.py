"""The messages between clients, balancers and servers."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.message import message, size_of
from sim.protocols.kv import Command

__all__ = [
    "Answer",
    "Ask",
    "Busy",
    "Cancel",
    "CheckHealth",
    "Healthy",
    "Idle",
    "InFlight",
    "Load",
    "Probe",
]


@message
class Ask:
    """A request: to a balancer, or from one to a server.

    Fields
    ------
    ticket: the number, or pair of numbers, under which the sender awaits the answer.
    timeout: for how many seconds the sender will wait; carried as a duration, since clocks differ.
    tied_to, tied_ticket: the server that holds the other copy of a tied request, and its number there.
    idle: the number of the server's `Idle` by which it was picked; 0 for none.
    """

    ticket: Any
    command: Command
    timeout: float = inf
    tied_to: str = ""
    tied_ticket: int = 0
    idle: int = 0

    @property
    def wire_bytes(self) -> int:
        """Ticket, timeout, the tie and the number of an `Idle` if any, and the command."""
        size: int = 16 + self.command.wire_bytes + (8 if self.idle else 0)
        return size + 8 + len(self.tied_to) if self.tied_to else size


@message
class Answer:
    """What became of a request.

    ``status``: ``ok``; ``fail`` or ``info`` (a backend store's own verdict); ``rejected`` (not tried: full, shed,
    limited), ``error`` (tried, failed), ``expired`` (too late). ``load``: requests at the server, this one not
    counted.
    """

    ticket: Any
    status: str
    load: int = 0
    value: Any = None
    result: Any = None

    @property
    def wire_bytes(self) -> int:
        """Ticket, load, one byte of status, and the value."""
        return 17 + (0 if self.value is None else size_of(self.value))


@message
class Cancel:
    """The sender no longer wants the answer to its request ``ticket``, or, for ``owner``, to that one's."""

    ticket: int
    owner: str = ""


@message
class Probe:
    """How loaded are you? ``number`` comes back."""

    number: int


@message
class Load:
    """Answer to a probe.

    ``requests``: in the server now. ``latency``: its median (seconds) at about that load, where the policy
    wants to know. ``work_done``: seconds of work since it started.
    """

    number: int
    requests: int
    latency: float = 0.0
    work_done: float = 0.0


@message
class Idle:
    """From a server to one balancer: I have nothing to do (join-idle-queue). ``number``: ever larger."""

    number: int


@message
class Busy:
    """From a server to the balancer that it sent `Idle` ``number``: I have work again, from elsewhere."""

    number: int


@message
class InFlight:
    """Gossip between balancers: how many requests the sender has in flight at each server, in their order."""

    counts: tuple[int, ...]


@message
class CheckHealth:
    """Are you well? (An active health check.)"""

    number: int


@message
class Healthy:
    """Answer to a health check."""

    number: int
