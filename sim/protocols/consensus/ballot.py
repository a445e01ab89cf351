"""Ballots: the proposal numbers of Paxos and related protocols."""

from __future__ import annotations

from typing import NamedTuple

from sim.message import message
from sim.protocols.command import Command

__all__ = ["ZERO", "Ballot", "Vote"]


class Ballot(NamedTuple):
    """A proposal number, ordered by round, then by proposer, so that two proposers never use the same number.

    "Different proposers choose their numbers from disjoint sets of numbers, so two different proposers never
    issue a proposal with the same number" (Lamport 2001, section 2.5).
    """

    round: int
    proposer: str

    @property
    def wire_bytes(self) -> int:
        """Two words: the round, and the number of the proposer."""
        return 16

    def __str__(self) -> str:
        return f"{self.round}.{self.proposer}" if self.proposer else str(self.round)


ZERO = Ballot(0, "")
"""Below every ballot."""


@message
class Vote:
    """A proposal that an acceptor has accepted: ballot and command."""

    ballot: Ballot
    command: Command
