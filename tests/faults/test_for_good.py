"""A member that crashes for good stays down after the storm, if the system makes progress without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from sim.faults import (
    Crash,
    Cut,
    Fault,
    Hold,
    Partition,
    PowerFailure,
    RollingRestart,
    Succession,
)
from sim.lab import draw_storm
from sim.lab.fuzz.playing import Played, play
from sim.node import part
from sim.protocols import BasicRaft, BroadcastStore, ChainReplication, Crdt, Dynamo, MultiPaxos, Raft
from sim.protocols.client import Client, Request
from sim.protocols.command import Result
from sim.protocols.communication.broadcast import BestEffortBroadcast
from sim.protocols.communication.store import ReliableReplica
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.replica import Replica
from sim.system import System


def storm(system: System, *faults: Fault) -> Played:
    return play(replace(draw_storm(system, 1, length=1.5, clients=2, options=False), faults=faults), 1)


def down(played: Played) -> list[str]:
    simulation = played.simulation
    return [name for name in simulation.replicas if not simulation.is_up(name)]


def test_a_minority_stays_down_and_the_rest_makes_progress() -> None:
    played = storm(BasicRaft(nodes=3), Crash("n0", at=0.5, for_good=True))
    assert played.broken is None
    assert down(played) == ["n0"]
    recorded = played.simulation.recorded()
    assert down(play(recorded, 1)) == ["n0"]
    assert play(recorded, 1).run.digest() == played.run.digest()


def test_nothing_restarts_a_member_that_is_gone() -> None:
    played = storm(
        BasicRaft(nodes=3),
        Crash("n1", at=0.3, for_good=True),
        RollingRestart(at=0.5, down=0.1, pause=0.1),
    )
    assert down(played) == ["n1"]


def test_a_member_that_is_down_already_is_gone_for_good_too() -> None:
    faults = (Crash("n1", at=0.3, down=0.5), Crash("n1", at=0.5, for_good=True))
    played = storm(BasicRaft(nodes=3), *faults)
    assert down(played) == ["n1"]
    assert play(played.simulation.recorded(), 1).run.digest() == played.run.digest()


@pytest.mark.parametrize("target", ["leader", "random"])
def test_a_fault_that_waits_for_its_target_does_not_begin_after_the_storm(target: str) -> None:
    """It held messages after the calm, and the recorded storm, which ends with the storm, was another run."""
    faults = (PowerFailure(at=1.3), Hold("RequestVote", at=1.4, until=9.0, src=target))
    played = storm(BasicRaft(nodes=3), *faults)
    assert "hold" not in list(played.run.events["event"])
    assert play(played.simulation.recorded(), 1).run.digest() == played.run.digest()


def test_a_succession_has_no_turn_after_the_storm() -> None:
    """It healed cuts that it had not made, and the recorded storm was another run."""
    played = storm(Dynamo(), Succession(at=0.2, turns=6, timeout=1.0))
    events = list(played.run.events["event"])
    assert events.count("heal") == events.count("cut") == 2
    assert play(played.simulation.recorded(), 1).run.digest() == played.run.digest()


def test_messages_that_are_let_go_at_one_instant_arrive_after_all_of_them_are() -> None:
    """A strike let one class go, and what that did came before it let the next one go: another run."""
    crashes = Crash("n2", at=0.5, down=0.02), Crash("n2", at=1.1, down=0.02)
    holds = [
        Hold(kind, at=0.5, until=1.1201, dst="n2", copies=True) for kind in ("Ack", "ChainIs", "Forward")
    ]
    played = storm(ChainReplication(), *crashes, *holds)
    assert play(played.simulation.recorded(), 1).run.digest() == played.run.digest()


@pytest.mark.parametrize(
    ("system", "gone"),
    [
        (BasicRaft(nodes=3), ["n2"]),
        (Raft(nodes=3, membership="single"), []),
        (Dynamo(nodes=3), ["n2"]),
        (Dynamo(nodes=3, w=3, r=1), []),
        (ChainReplication(nodes=3), ["n1", "n2"]),
        (BroadcastStore(order="sequencer"), []),
    ],
    ids=lambda value: getattr(value, "label", None),
)
def test_no_more_members_stay_down_than_the_system_can_do_without(system: System, gone: list[str]) -> None:
    assert system.max_gone == len(gone)
    played = storm(system, Crash("n2", at=0.5, for_good=True), Crash("n1", at=0.7, for_good=True))
    assert played.broken is None
    assert down(played) == gone


def test_a_service_is_never_gone_for_good() -> None:
    played = storm(ChainReplication(), Crash("master", at=0.5, for_good=True))
    assert played.simulation.gone == ()
    assert down(played) == []


def test_of_a_client_whose_only_replica_is_gone_no_answer_is_expected() -> None:
    played = storm(Crdt(), Crash("n0", at=0.5, for_good=True))
    assert played.broken is None
    homes = [client.home for client in played.simulation.nodes.values() if isinstance(client, Client)]
    assert "n0" in homes
    alive = storm(Crdt(), Crash("n0", at=0.5, down=0.2))
    assert alive.broken is None


class Answers(Replica):
    """Answers each request with nothing."""

    def on_request(self, src: str, msg: Request) -> None:
        self.answer(src, msg.command, Result("ok", None))


class NoRelay(ReliableReplica):
    """A replica whose broadcast relies on the origin to reach all: best effort, not reliable."""

    cast = part(BestEffortBroadcast, links="links")


@dataclass(frozen=True, kw_only=True)
class NotReliable(BroadcastStore):
    order: Any = "reliable"

    @property
    def replica_class(self) -> Any:
        return NoRelay


def test_a_broadcast_that_nobody_relays_is_seen_when_its_origin_is_gone() -> None:
    """While the origin comes back, its links repeat each message: nothing is missing without relays."""
    cut = Cut("n0", "n2", at=0.3, duration=2.0)
    back, gone = Crash("n0", at=0.6, down=0.5), Crash("n0", at=0.6, for_good=True)
    assert storm(NotReliable(), cut, back).broken is None
    assert storm(BroadcastStore(order="reliable"), cut, gone).broken is None
    broken = storm(NotReliable(), cut, gone).broken
    assert broken is not None
    assert broken.invariant == "every replica catches up"


class NeverElects(MultiPaxosNode):
    def on_election_timeout(self) -> None:
        self.expect_leader()


@dataclass(frozen=True, kw_only=True)
class OneLeaderForEver(MultiPaxos):
    @property
    def replica_class(self) -> Any:
        return NeverElects


def test_a_group_that_never_elects_again_is_seen_when_its_leader_is_gone() -> None:
    assert storm(MultiPaxos(), Crash("n0", at=0.5, for_good=True)).broken is None
    broken = storm(OneLeaderForEver(), Crash("n0", at=0.5, for_good=True)).broken
    assert broken is not None
    assert broken.invariant == "progress after healing"


def test_a_chain_is_stranded_when_the_last_that_had_all_is_gone_and_nothing_is_asked_of_it() -> None:
    apart = Partition((("n1", "n2"), ("n0", "master")), at=0.3, duration=2.0)
    played = storm(ChainReplication(), apart, Crash("n0", at=1.3, for_good=True))
    assert played.broken is None
    assert played.simulation.system.is_stranded(played.simulation.members)
    whole = storm(ChainReplication(), Crash("n0", at=1.3, for_good=True))
    assert not whole.simulation.system.is_stranded(whole.simulation.members)


def test_a_system_of_ones_own_says_how_many_may_be_gone() -> None:
    system = System.of(Answers, nodes=3, max_gone=1)
    assert down(storm(system, Crash("n2", at=0.5, for_good=True))) == ["n2"]
    assert down(storm(System.of(Answers, nodes=3), Crash("n2", at=0.5, for_good=True))) == []
    with pytest.raises(ValueError, match="max_gone must be below nodes=3, not 3"):
        system.changed(max_gone=3)


def test_a_crash_for_good_has_no_restart() -> None:
    with pytest.raises(ValueError, match=r"for_good=True, but down=1.0"):
        Crash("n0", at=0.5, down=1.0, for_good=True)
