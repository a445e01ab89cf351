"""Claims of the Omni-Paxos paper (Ng, Haridi, Carbone, EuroSys 2023), sections 2, 5 and 7.2, one test each."""

from __future__ import annotations

from typing import Any

from sim.faults import Partition, QuorumLoss
from sim.lab import Scenario
from sim.network import constant
from sim.node import part
from sim.protocols import MultiPaxos, OmniPaxos
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.multipaxos.messages import Prepare
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.omnipaxos.ble import BallotLeaderElection
from sim.protocols.consensus.omnipaxos.node import OmniPaxosNode
from sim.system import Member
from sim.testing import Stage
from sim.workload import ClosedLoop

DELTA, T = 0.001, 0.5
SYSTEM = OmniPaxos(nodes=5, heartbeat=0.05, detection=T)


def through(stage: Stage, middle: str, *names: str) -> None:
    """From now on these members reach only the one in the middle, and it reaches them."""
    stage.cut(names, [n for n in stage.names if n != middle])
    stage.cut([n for n in stage.names if n != middle], names)


def leading(stage: Stage) -> list[tuple[float, str]]:
    return [(time, node) for time, node, _ in stage.events("elected")]


def test_quorum_loss_is_over_after_four_timeouts_at_most() -> None:
    """Section 7.2: the leader is alive, and hears one other server, which alone hears a majority."""
    for wait in (0.1, 0.3, 0.6, 0.9):
        stage = Stage(SYSTEM, delay=DELTA)
        stage.run(wait)
        through(stage, "n1", "n0", "n2", "n3", "n4")
        start = stage.now
        stage.run(4 * T)
        assert [node for _, node in leading(stage)] == ["n0", "n1"]
        assert leading(stage)[-1][0] - start <= 4 * T
        stage.ask("n1", value=1)
        stage.run(0.1)
        assert [reply.status for reply in stage.client.replies] == ["ok"]
        stage.run(20 * T)
        assert len(leading(stage)) == 2


class IgnoresTheFlag(BallotLeaderElection):
    """Every server that answers is a candidate, whether it is quorum-connected or not."""

    def candidates(self) -> list[Ballot]:
        return [ballot for ballot, _ in self.replies.values()]


class WithoutTheFlag(OmniPaxosNode):
    election = part(IgnoresTheFlag)


def test_without_the_flag_of_quorum_connectedness_quorum_loss_is_for_ever() -> None:
    """Section 5.2: a server must know that a leader which answers has lost its majority."""

    def mutated(member: Member) -> Member:
        return Member(member.name, WithoutTheFlag)

    stage = Stage(SYSTEM, delay=DELTA, change=mutated)
    stage.run(0.1)
    through(stage, "n1", "n0", "n2", "n3", "n4")
    stage.run(40 * T)
    assert [node for _, node in leading(stage)] == ["n0"]


def test_a_constrained_election_is_won_by_a_server_that_is_behind_after_three_timeouts_at_most() -> None:
    """Section 7.2: the leader is gone; the one server that hears a majority has the shortest log."""
    stage = Stage(SYSTEM, delay=DELTA)
    stage.run(0.1)
    stage.isolate("n1")
    for session in range(3):
        stage.ask("n0", value=session, session=session)
    stage.run(0.05)
    assert len(stage.client.replies) == 3
    stage.heal()
    through(stage, "n1", "n2", "n3", "n4")
    stage.isolate("n0")
    start = stage.now
    stage.run(3 * T)
    time, node = leading(stage)[-1]
    assert node == "n1"
    assert time - start <= 3 * T
    assert stage.node("n1").applied == 3


def test_in_a_chain_the_leader_changes_once() -> None:
    """Section 7.2: both ends see the middle; the ballot of one end is not gossiped to the other."""
    stage = Stage(OmniPaxos(nodes=3, heartbeat=0.05, detection=T), delay=DELTA)
    stage.run(0.1)
    stage.cut(["n0"], ["n2"])
    stage.cut(["n2"], ["n0"])
    stage.run(40 * T)
    assert [node for _, node in leading(stage)] == ["n0", "n2"]
    stage.ask("n2", value=1)
    stage.run(0.1)
    assert [reply.status for reply in stage.client.replies] == ["ok"]


# What scenarios/partial_partition.py shows of our Multi-Paxos, and why


class DoesNotWait(MultiPaxosNode):
    """A Prepare does not restart the wait for a leader."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        self.kept_waiting = True
        super().on_prepare(src, msg)
        self.kept_waiting = False

    def expect_leader(self) -> None:
        if not getattr(self, "kept_waiting", False):
            super().expect_leader()


class ImpatientMultiPaxos(MultiPaxos):
    @property
    def replica_class(self) -> Any:
        return DoesNotWait


def test_our_multi_paxos_stands_still_beside_a_deaf_server_because_a_prepare_restarts_the_wait_for_a_leader() -> (
    None
):
    """The deaf server campaigns again and again, and so keeps those that could win from campaigning."""
    answered = []
    for kind in (MultiPaxos, ImpatientMultiPaxos):
        run = Scenario(
            system=kind(nodes=5, heartbeat=0.02, detection=0.2),
            network=constant(DELTA),
            workload=ClosedLoop(clients=2, reads=0.0, think=0.1),
            faults=[Partition((("n0", "n1", "n2", "n3"), ("n4",)), at=1.0, one_way=True)],
            duration=6.0,
        ).run(seed=1)
        answered.append(int((run.operations["returned"] > 3.0).sum()))
    assert answered[0] == 0 < answered[1]


class Loyal(MultiPaxosNode):
    """A follower that knows a leader does not hear another candidate, until it has campaigned itself."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if self.leader in (None, src):
            super().on_prepare(src, msg)


class LoyalMultiPaxos(MultiPaxos):
    @property
    def replica_class(self) -> Any:
        return Loyal


def test_our_multi_paxos_survives_quorum_loss_because_a_promise_to_another_ends_a_followers_loyalty() -> None:
    """The paper's Multi-Paxos, in which elections start by the leader's silence only, stands still."""
    late = []
    for kind in (MultiPaxos, LoyalMultiPaxos):
        run = Scenario(
            system=kind(nodes=5, heartbeat=0.02, detection=0.2),
            network=constant(DELTA),
            workload=ClosedLoop(clients=2, reads=0.0, think=0.1),
            faults=[QuorumLoss(at=1.0, members=("n1", "n2", "n3", "n4", "n0"))],
            duration=12.0,
        ).run(seed=1)
        late.append(int((run.operations["returned"] > 8.0).sum()))
    assert late[0] > 0 == late[1]
