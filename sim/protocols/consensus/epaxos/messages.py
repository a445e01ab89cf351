"""Egalitarian Paxos: its messages, and what a replica knows of an instance."""

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
    """What a replica knows of an instance.

    ``promised`` and ``accepted`` are two ballots: the highest that it has heard of, and the one in which it has taken
    over the attributes. (One variable for both, as first printed, loses commits: Sutra, arXiv 1906.10917.)
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

    ``partner``, with three replicas: the one that makes up the fast quorum with the leader.
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
    """The Paxos phase: these are the attributes."""

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
    """A command and its attributes for good."""

    instance: Instance
    command: Command
    seq: int
    deps: tuple[Instance, ...]


@message
class Prepare:
    """Explicit prepare: what is known of this instance?"""

    instance: Instance
    ballot: Ballot


@message
class PrepareOk:
    """What the sender knew when it promised the ballot."""

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
    """A replica is behind: of each row it has executed everything up to a number. Who has later Commits, sends some."""

    prefix: tuple[int, ...]
