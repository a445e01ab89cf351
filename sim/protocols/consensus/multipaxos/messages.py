"""The messages of Multi-Paxos."""

from __future__ import annotations

from typing import Any

from sim.message import message
from sim.protocols.consensus.ballot import Ballot, Vote
from sim.protocols.departures import Stamp
from sim.protocols.kv import Command

__all__ = [
    "Accept",
    "Accepted",
    "Batch",
    "Granted",
    "Heartbeat",
    "InstallSnapshot",
    "Learn",
    "Learned",
    "Nack",
    "Prepare",
    "Promise",
    "Renew",
]


@message
class Prepare:
    """1a, for all slots from ``first`` on: accept nothing below ``ballot``; what have you accepted there?"""

    ballot: Ballot
    first: int


@message
class Promise:
    """1b: nothing below ``ballot``; ``votes`` are the proposals accepted in slots from ``first`` on."""

    ballot: Ballot
    first: int
    votes: tuple[tuple[int, Vote], ...]


@message
class Accept:
    """2a: accept (ballot, command) in ``slot``; the leader has applied all slots up to ``commit``."""

    ballot: Ballot
    slot: int
    command: Command
    commit: int


@message
class Accepted:
    """2b: the sender has accepted what the leader of ``ballot`` proposed in ``slot``."""

    ballot: Ballot
    slot: int


@message
class Nack:
    """``ballot`` is refused, because ``promised`` is higher."""

    ballot: Ballot
    promised: Ballot


@message
class Heartbeat:
    """The leader of ``ballot`` is alive, and has applied all slots up to ``commit``."""

    ballot: Ballot
    commit: int


@message
class Learn:
    """What was chosen from slot ``first`` on?"""

    first: int


@message
class Learned:
    """These commands were chosen in the slots from ``first`` on, says the leader of ``ballot``."""

    ballot: Ballot
    first: int
    commands: tuple[Command, ...]


# Of the options


@message
class Batch:
    """The value of a slot that several commands share, in this order."""

    commands: tuple[Command, ...]


@message
class Renew:
    """A heartbeat that asks for a lease; ``sent``: the leader's stamp on it."""

    ballot: Ballot
    commit: int
    sent: Stamp


@message
class Granted:
    """The sender answers nobody else's prepare request for the time of a lease from now on."""

    ballot: Ballot
    sent: Stamp


@message
class InstallSnapshot:
    """The state after all slots up to ``index``, for a replica that lags behind what is kept of the log."""

    index: int
    state: tuple[Any, ...]
