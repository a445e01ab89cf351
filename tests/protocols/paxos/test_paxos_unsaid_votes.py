"""A vote that reached the disk, although its message never left, counts as accepted: a correct leader proposes it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.multipaxos import messages as multipaxos_messages
from sim.protocols.consensus.multipaxos.invariants import MultiPaxosSafety
from sim.protocols.consensus.paxos import node as paxos
from sim.protocols.consensus.paxos.invariants import PaxosSafety
from sim.protocols.quorums import Majority
from sim.system import SafetyViolation

NAMES = ("n0", "n1", "n2")
FIRST, SECOND = Command(1, 1, "put", "x", "first"), Command(2, 1, "put", "x", "second")
OLD, NEW, LAST = Ballot(1, "n0"), Ballot(2, "n1"), Ballot(3, "n0")


class Messages:
    """The messages of single-decree Paxos, or those of Multi-Paxos in slot 1."""

    def __init__(self, many: bool) -> None:
        self.many, self.kind = many, multipaxos_messages if many else paxos

    def prepare(self, ballot: Ballot) -> Any:
        return self.kind.Prepare(ballot, 1) if self.many else self.kind.Prepare(ballot)

    def promise(self, ballot: Ballot, vote: Any = None) -> Any:
        if not self.many:
            return self.kind.Promise(ballot, vote)
        return self.kind.Promise(ballot, 1, () if vote is None else ((1, vote),))

    def vote(self, ballot: Ballot, command: Command) -> Any:
        return self.kind.Vote(ballot, command)

    def accept(self, ballot: Ballot, command: Command) -> Any:
        return self.kind.Accept(ballot, 1, command, 0) if self.many else self.kind.Accept(ballot, command)

    def accepted(self, ballot: Ballot, command: Command) -> Any:
        return self.kind.Accepted(ballot, 1) if self.many else self.kind.Accepted(ballot, command)


def ghost_after_a_power_failure(many: bool) -> tuple[Any, Messages]:
    """n0 proposed FIRST and only it accepted; n1 proposed SECOND, n2 wrote its vote, and all lost power."""
    quorum = Majority().over(NAMES)
    ghost = (MultiPaxosSafety if many else PaxosSafety)(is_phase1_quorum=quorum, is_phase2_quorum=quorum)
    say = Messages(many)
    for command in (FIRST, SECOND):
        ghost.on_send("c0", "n0", Request(command))
    ghost.on_send("n0", "n1", say.prepare(OLD))
    for name in ("n0", "n1"):
        ghost.on_send(name, "n0", say.promise(OLD))
    ghost.on_send("n0", "n1", say.accept(OLD, FIRST))
    ghost.on_send("n0", "n0", say.accepted(OLD, FIRST))
    ghost.on_send("n1", "n2", say.prepare(NEW))
    for name in ("n1", "n2"):
        ghost.on_send(name, "n1", say.promise(NEW))
    ghost.on_send("n1", "n2", say.accept(NEW, SECOND))
    for name in NAMES:
        ghost.on_event(name, "restart", {})
    ghost.on_send("n0", "n2", say.prepare(LAST))
    ghost.on_send("n0", "n0", say.promise(LAST, say.vote(OLD, FIRST)))
    ghost.on_send("n2", "n0", say.promise(LAST, say.vote(NEW, SECOND)))
    return ghost, say


@pytest.mark.parametrize("many", [False, True], ids=["Paxos", "MultiPaxos"])
def test_the_value_of_the_highest_vote_on_any_disk_is_proposed(many: bool) -> None:
    ghost, say = ghost_after_a_power_failure(many)
    ghost.on_send("n0", "n1", say.accept(LAST, SECOND))


@pytest.mark.parametrize("many", [False, True], ids=["Paxos", "MultiPaxos"])
def test_a_leader_that_ignores_a_vote_that_was_never_sent_is_caught(many: bool) -> None:
    ghost, say = ghost_after_a_power_failure(many)
    with pytest.raises(SafetyViolation, match=r"^P2c violated"):
        ghost.on_send("n0", "n1", say.accept(LAST, FIRST))
