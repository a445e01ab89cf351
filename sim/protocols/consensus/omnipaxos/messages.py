"""The messages of Omni-Paxos: those of Ballot Leader Election, and those of Sequence Paxos."""

from __future__ import annotations

from sim.message import message
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot

__all__ = [
    "Accept",
    "AcceptSync",
    "Accepted",
    "Decide",
    "HeartbeatReply",
    "HeartbeatRequest",
    "Prepare",
    "PrepareRequest",
    "Promise",
]


# Ballot Leader Election


@message
class HeartbeatRequest:
    """Asks for the receiver's ballot, in heartbeat round ``round`` of the sender."""

    round: int


@message
class HeartbeatReply:
    """The sender's own ballot, and whether a majority answered it in its last round (quorum-connected)."""

    round: int
    ballot: Ballot
    quorum_connected: bool


# Sequence Paxos


@message
class Prepare:
    """The leader of round ``ballot`` asks for a promise, and says what it has, so that a promise contains no more.

    ``accepted_round``, ``log_index``: the round of its last accepted entry, and the length of its log; ``decided``: how
    many entries it knows to be decided.
    """

    ballot: Ballot
    accepted_round: Ballot
    log_index: int
    decided: int


@message
class Promise:
    """A promise to accept nothing in rounds below ``ballot``; ``suffix``: what the leader's log lacks.

    The suffix begins after the leader's decided entries if the sender accepted in a later round than the leader, and
    after the leader's whole log if both accepted in the same round.
    """

    ballot: Ballot
    accepted_round: Ballot
    log_index: int
    decided: int
    suffix: tuple[Command, ...]


@message
class AcceptSync:
    """The first message of a round to a follower: its log must be its own first ``index`` entries, and ``suffix``."""

    ballot: Ballot
    index: int
    suffix: tuple[Command, ...]
    decided: int


@message
class Accept:
    """Asks to accept these entries after the first ``index`` ones."""

    ballot: Ballot
    index: int
    entries: tuple[Command, ...]


@message
class Accepted:
    """The sender has accepted the first ``log_index`` entries of the log of round ``ballot``."""

    ballot: Ballot
    log_index: int


@message
class Decide:
    """The first ``decided`` entries of the log of round ``ballot`` are decided."""

    ballot: Ballot
    decided: int


@message
class PrepareRequest:
    """The sender has restarted: the leader sends it a Prepare."""
