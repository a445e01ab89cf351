"""The messages of Mencius."""

from __future__ import annotations

from sim.message import message
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot, Vote

__all__ = [
    "Accepted",
    "Chosen",
    "Fetch",
    "Heartbeat",
    "Known",
    "Nack",
    "Prepare",
    "Promise",
    "Revoke",
    "Revoked",
    "Skip",
    "Suggest",
]


@message
class Suggest:
    """The coordinator's command for its slot; its own slots from ``first`` up to this one are skipped."""

    slot: int
    command: Command
    first: int


@message
class Accepted:
    """The suggestion is accepted under ``ballot``; the sender has skipped its slots from ``first`` below ``turn``."""

    slot: int
    ballot: Ballot
    first: int
    turn: int


@message
class Chosen:
    """The suggestion of the sender for its slot was chosen."""

    slot: int


@message
class Skip:
    """To itself, delivered when the skip is on disk: the slots from ``first`` below ``turn`` are skipped."""

    first: int
    turn: int


@message
class Heartbeat:
    """The sender's execution progress, and its skipped slots since its last suggestion."""

    applied: int
    first: int
    turn: int


@message
class Fetch:
    """Requests the commands that were chosen from slot ``first`` on."""

    first: int


@message
class Known:
    """These commands were chosen in these slots."""

    entries: tuple[tuple[int, Command], ...]


@message
class Prepare:
    """1a, for one coordinator's slots from ``first`` to ``last``."""

    ballot: Ballot
    first: int
    last: int


@message
class Promise:
    """1b: the sender accepts nothing below ``ballot`` in these slots; ``votes``: what it has accepted in them."""

    ballot: Ballot
    first: int
    last: int
    votes: tuple[tuple[int, Vote], ...]


@message
class Revoke:
    """2a: requests to accept ``values`` in these slots, and no-ops in slots without a value."""

    ballot: Ballot
    first: int
    last: int
    values: tuple[tuple[int, Command], ...]


@message
class Revoked:
    """2b: the sender has accepted the proposals of the revocation with ``ballot`` in all these slots."""

    ballot: Ballot
    first: int
    last: int


@message
class Nack:
    """A revocation of ``ballot`` is refused, because ``promised`` is higher."""

    ballot: Ballot
    promised: Ballot
