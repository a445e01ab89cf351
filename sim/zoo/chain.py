"""Mistakes of chain replication and CRAQ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.protocols.command import Command
from sim.protocols.replication.chain.craq import Craq, CraqNode
from sim.protocols.replication.chain.node import ChainNode
from sim.protocols.replication.chain.system import ChainReplication
from sim.settings import Count
from sim.zoo.bug import Mutated, bug

__all__ = ["CR1", "CR2", "CR3"]


class DropsSent(ChainNode):
    """Splices the chain and goes on with what comes next; the successor takes what it is given."""

    def _meet_neighbours(self, pred: str | None, succ: str | None) -> None:
        spliced = succ != self.succ and self.succ is not None
        super()._meet_neighbours(pred, succ)
        if spliced:
            self.acked = self.next = self.last

    def on_gap(self, src: str, msg: Any) -> None:
        pass

    def holds(self, position: int, view: int) -> bool:
        return True


@bug("safety", happened="section 3.2 of van Renesse and Schneider (OSDI 2004) says what Sent is for")
@dataclass(frozen=True, kw_only=True)
class CR1(Mutated, ChainReplication):
    """A server whose successor failed does not send again what the failed one may not have passed on."""

    nodes: Count = 3
    mutated_nodes = (DropsSent,)


class AnswersDirtyLocally(CraqNode):
    """A dirty read is answered with what is clean here."""

    def query(self, client: str, command: Command) -> None:
        self.answer(client, command, self.clean.execute(command))


@bug("safety", happened="section 2.3 of Terrace and Freedman (USENIX ATC 2009) says why the tail is asked")
@dataclass(frozen=True, kw_only=True)
class CR2(Mutated, Craq):
    """A server answers a read from its last clean version although a write is under way, without asking the tail."""

    nodes: Count = 3
    mutated_nodes = (AnswersDirtyLocally,)


class NeedsNoLease(ChainNode):
    """A server answers whatever the configuration is."""

    def may_answer(self) -> bool:
        return self.initialised


@bug(
    "safety",
    happened="the README of lab 2 of dslabs (a chain assumes that nobody is suspected falsely); OSDI 2004, fail-stop",
)
@dataclass(frozen=True, kw_only=True)
class CR3(Mutated, ChainReplication):
    """A tail that was taken out of the chain goes on answering reads."""

    nodes: Count = 3
    mutated_nodes = (NeedsNoLease,)
