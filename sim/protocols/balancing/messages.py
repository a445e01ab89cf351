"""The messages between clients, balancers and servers."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.message import message, size_of
from sim.protocols.command import Command

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
    """A request, from a client to a balancer or from a balancer to a server.

    Fields
    ------
    ticket: the number, or pair of numbers, with which the sender identifies the answer.
    timeout: how long (seconds) the sender will wait; a duration, because clocks differ.
    tied_to, tied_ticket: the server with the other copy of a tied request, and its ticket there.
    idle: the number of the `Idle` message because of which the server was picked; 0: none.
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
    """The answer to a request.

    ``status``: ``ok``; ``fail`` or ``info`` (from a store behind the balancer); ``rejected`` (not executed: full, shed,
    limited), ``error`` (executed and failed), ``expired`` (too late). ``load``: the number of requests at the server,
    without this one.
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
    """Cancels the request ``ticket`` of the sender or, if ``owner`` is given, of the owner."""

    ticket: int
    owner: str = ""


@message
class Probe:
    """Asks a server for its load; the answer has the same ``number``."""

    number: int


@message
class Load:
    """The answer to a probe.

    ``requests``: the number of requests in the server now. ``latency``: its median latency (seconds) at about that
    load, if the policy needs it. ``work_done``: seconds of work since its start.
    """

    number: int
    requests: int
    latency: float = 0.0
    work_done: float = 0.0


@message
class Idle:
    """A server tells one balancer that it is idle (join-idle-queue). ``number``: increases with each message."""

    number: int


@message
class Busy:
    """A server withdraws `Idle` ``number``, because it got a request from another balancer."""

    number: int


@message
class InFlight:
    """Gossip between balancers: the numbers of the sender's requests in flight, in order of the servers."""

    counts: tuple[int, ...]


@message
class CheckHealth:
    """An active health check."""

    number: int


@message
class Healthy:
    """The answer to a health check."""

    number: int
