"""The messages of Multi-Paxos."""

from __future__ import annotations

from typing import Any

from sim.message import message
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot, Vote
from sim.protocols.departures import Stamp

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
    """1a, for all slots from ``first``: asks for a promise to accept nothing below ``ballot``, and for the votes."""

    ballot: Ballot
    first: int


@message
class Promise:
    """1b: promises to accept nothing below ``ballot``; ``votes``: the accepted proposals in slots from ``first``."""

    ballot: Ballot
    first: int
    votes: tuple[tuple[int, Vote], ...]


@message
class Accept:
    """2a: asks to accept (ballot, command) in ``slot``; the leader has applied all slots up to ``commit``."""

    ballot: Ballot
    slot: int
    command: Command
    commit: int


@message
class Accepted:
    """2b: the sender has accepted the proposal of the leader of ``ballot`` in ``slot``."""

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
    """Asks for the chosen commands from slot ``first``."""

    first: int


@message
class Learned:
    """From the leader of ``ballot``: these commands were chosen in the slots from ``first``."""

    ballot: Ballot
    first: int
    commands: tuple[Command, ...]


# Messages of the options


@message
class Batch:
    """The value of a slot with several commands, in this order."""

    commands: tuple[Command, ...]


@message
class Renew:
    """A heartbeat that asks for a lease; ``sent``: the leader's stamp."""

    ballot: Ballot
    commit: int
    sent: Stamp


@message
class Granted:
    """For the time of a lease from now, the sender answers prepare requests only of this leader."""

    ballot: Ballot
    sent: Stamp


@message
class InstallSnapshot:
    """The state after all slots up to ``index``, for a replica that needs slots which are deleted."""

    index: int
    state: tuple[Any, ...]
