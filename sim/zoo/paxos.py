"""Mistakes of Paxos and Multi-Paxos."""

from __future__ import annotations

from dataclasses import dataclass

from sim.protocols.command import NOOP
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.multipaxos.messages import Prepare as PrepareSlots
from sim.protocols.consensus.multipaxos.messages import Promise as PromiseSlots
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.multipaxos.options import FullMultiPaxosNode
from sim.protocols.consensus.multipaxos.system import MultiPaxos
from sim.protocols.consensus.paxos.node import Accept, Accepted, PaxosNode, Prepare, Promise
from sim.protocols.consensus.paxos.system import Paxos
from sim.settings import Count, Whole
from sim.zoo.bug import Mutated, bug

__all__ = ["MP1", "MP4", "PX1", "PX2", "PX4"]


class AnswersUnsynced(PaxosNode):
    """The acceptor's answers do not wait for the disk."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if msg.ballot >= self.promised:
            self.promised = msg.ballot
            self.send(src, Promise(msg.ballot, self.vote), hold=False)

    def on_accept(self, src: str, msg: Accept) -> None:
        if msg.ballot >= self.promised:
            self.promised, self.vote = msg.ballot, Vote(msg.ballot, msg.command)
            self.send(src, Accepted(msg.ballot, msg.command), hold=False)


@bug("safety", happened="Lamport, Paxos Made Simple (2001), section 2; the same in efficient/epaxos#28")
@dataclass(frozen=True, kw_only=True)
class PX1(Mutated, Paxos):
    """An acceptor answers before its promise or its vote is on disk."""

    nodes: Count = 3
    mutated_nodes = (AnswersUnsynced,)


class RestartsRounds(PaxosNode):
    """The round of the last ballot is not on disk."""

    def on_start(self) -> None:
        super().on_start()
        self.__dict__["round"] = 0


@bug("safety", happened="Tencent/phxpaxos#145 (analysed there; the code avoids it)")
@dataclass(frozen=True, kw_only=True)
class PX2(Mutated, Paxos):
    """A proposer counts its rounds from 0 again after a restart, so that two proposals have one ballot."""

    nodes: Count = 3
    mutated_nodes = (RestartsRounds,)


class CountsOneTooFew(PaxosNode):
    """A quorum of phase 2 is ``2 * votes >= n - 1``."""

    def on_start(self) -> None:
        super().on_start()
        self.is_phase2_quorum = lambda voters: 2 * len(voters) >= len(self.members) - 1


@bug(
    "safety",
    happened="IncorrectSingleInstancePaxos.java of emichael/dslabs; Flexible Paxos (Howard, Malkhi, Spiegelman 2016)",
)
@dataclass(frozen=True, kw_only=True)
class PX4(Mutated, Paxos):
    """A quorum of phase 2 is one vote short, so that quorums do not meet."""

    nodes: Count = 3
    mutated_nodes = (CountsOneTooFew,)


class FillsGapsFromItsOwnLog(MultiPaxosNode):
    """What the promises report is ignored; a slot in which it has not voted itself gets a no-op."""

    def lead(self) -> None:
        own = self.promises[self.name]
        last = max((slot for p in self.promises.values() for slot, _ in p.votes), default=own.first - 1)
        held = dict(own.votes)
        filled = [(slot, held.get(slot, Vote(ZERO, NOOP))) for slot in range(own.first, last + 1)]
        self.promises = {self.name: type(own)(own.ballot, own.first, tuple(filled))}
        super().lead()


@bug("safety", happened="test24 (logs with holes) of dslabs' PaxosTest; josehu07/summerset#19")
@dataclass(frozen=True, kw_only=True)
class MP1(Mutated, MultiPaxos):
    """A new leader fills the gaps of its own log with no-ops, whatever the promises report."""

    nodes: Count = 3
    mutated_nodes = (FillsGapsFromItsOwnLog,)


class DeletesAndForgets(FullMultiPaxosNode):
    """A promise reports nothing of deleted slots."""

    def promise(self, ballot: Ballot, first: int) -> PromiseSlots:
        return MultiPaxosNode.promise(self, ballot, first)

    def on_prepare(self, src: str, msg: PrepareSlots) -> None:
        MultiPaxosNode.on_prepare(self, src, msg)


@bug(
    "safety", happened="test11 (garbage collection) of dslabs' PaxosTest, and its predicate on cleared slots"
)
@dataclass(frozen=True, kw_only=True)
class MP4(Mutated, MultiPaxos):
    """A replica deletes the slots that it has executed itself, and its promises say nothing of them."""

    nodes: Count = 3
    snapshot_every: Count | None = 3
    retain: Whole | None = 0
    mutated_nodes = (DeletesAndForgets,)
