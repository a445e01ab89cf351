"""Mistakes of EPaxos and of Viewstamped Replication."""

from __future__ import annotations

from dataclasses import dataclass

from sim.protocols.consensus.epaxos.messages import COMMITTED, Instance
from sim.protocols.consensus.epaxos.node import EPaxos, EPaxosNode
from sim.protocols.consensus.vr.messages import RecoveryResponse
from sim.protocols.consensus.vr.node import ViewstampedNode
from sim.protocols.consensus.vr.system import ViewstampedReplication
from sim.settings import Count
from sim.zoo.bug import Mutated, bug

__all__ = ["EP5", "VR1"]


class ExecutesBySeq(EPaxosNode):
    """All that is committed is executed in the order of seq, without regard to components."""

    def execute(self, instance: Instance) -> None:
        ready = [i for i, r in self.instances.items() if r.status == COMMITTED and i not in self.executed]
        for one in sorted(ready, key=lambda i: (self.instances[i].seq, i)):
            self.apply(one)


@bug(
    "safety",
    happened="section 4.3.2 of Moraru, Andersen, Kaminsky (SOSP 2013) says why components come first",
)
@dataclass(frozen=True, kw_only=True)
class EP5(Mutated, EPaxos):
    """A replica executes committed commands by their seq, without waiting for what they depend on."""

    nodes: Count = 3
    mutated_nodes = (ExecutesBySeq,)


class TakesAnyNonce(ViewstampedNode):
    """Every RecoveryResponse counts, whichever recovery it answers."""

    def answers_me(self, msg: RecoveryResponse) -> bool:
        return True


@bug("safety", happened="section 4.3 of Liskov and Cowling (2012) says what the nonce is for")
@dataclass(frozen=True, kw_only=True)
class VR1(Mutated, ViewstampedReplication):
    """A recovering replica takes responses to an earlier recovery of its own."""

    nodes: Count = 3
    mutated_nodes = (TakesAnyNonce,)
