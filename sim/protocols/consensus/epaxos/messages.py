"""Egalitarian Paxos: the messages, and a replica's record of an instance."""

from __future__ import annotations

from sim.node import message
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot

__all__ = [
    "ACCEPTED",
    "COMMITTED",
    "PREACCEPTED",
    "UNKNOWN",
    "Accept",
    "AcceptOk",
    "Commit",
    "Decided",
    "Fetch",
    "Instance",
    "Nack",
    "PreAccept",
    "PreAcceptOk",
    "Prepare",
    "PrepareOk",
    "Record",
]

Instance = tuple[int, int]
"""``(row, number)``: the number-th command (from 1) of the replica with that index."""

UNKNOWN, PREACCEPTED, ACCEPTED, COMMITTED = 0, 1, 2, 3


@message
class Record:
    """A replica's record of an instance.

    ``promised`` and ``accepted`` are two ballots: the highest that the replica knows, and the one in which it accepted
    the attributes. (One variable for both, as in the original paper, loses commits: Sutra, arXiv 1906.10917.)
    ``partner`` as in `PreAccept`.
    """

    status: int
    command: Command | None
    seq: int
    deps: tuple[Instance, ...]
    promised: Ballot
    accepted: Ballot
    partner: str = ""


@message
class PreAccept:
    """Phase 1: a command, with the attributes as its leader sees them.

    ``partner``, with three replicas: the replica that forms the fast quorum with the leader.
    """

    instance: Instance
    ballot: Ballot
    command: Command
    seq: int
    deps: tuple[Instance, ...]
    partner: str = ""


@message
class PreAcceptOk:
    """The attributes as the sender sees them."""

    instance: Instance
    ballot: Ballot
    seq: int
    deps: tuple[Instance, ...]


@message
class Accept:
    """The Paxos phase: requests to accept these attributes."""

    instance: Instance
    ballot: Ballot
    command: Command
    seq: int
    deps: tuple[Instance, ...]


@message
class AcceptOk:
    """Accepted in this ballot."""

    instance: Instance
    ballot: Ballot


@message
class Commit:
    """A command and its final attributes."""

    instance: Instance
    command: Command
    seq: int
    deps: tuple[Instance, ...]


@message
class Decided:
    """To the leader itself: its commit of this instance is on its disk."""

    instance: Instance


@message
class Prepare:
    """Explicit prepare: requests the receiver's record of this instance."""

    instance: Instance
    ballot: Ballot


@message
class PrepareOk:
    """The sender's record when it promised the ballot."""

    instance: Instance
    ballot: Ballot
    record: Record


@message
class Nack:
    """The sender has promised ``promised``, which is higher."""

    instance: Instance
    promised: Ballot


@message
class Fetch:
    """A replica that is behind has executed each row up to a number; the receiver sends later Commits that it has."""

    prefix: tuple[int, ...]
