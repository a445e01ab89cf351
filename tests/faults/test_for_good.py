"""A member that crashes for good stays down after the storm, if the system makes progress without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.faults import Crash, Fault, Hold, PowerFailure, RollingRestart, Succession
from sim.lab import draw_storm
from sim.lab.fuzz.playing import Played, play
from sim.protocols import BasicRaft, ChainReplication, Dynamo, Raft
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
    [(BasicRaft(nodes=3), ["n2"]), (Raft(nodes=3, membership="single"), []), (Dynamo(nodes=3), [])],
    ids=["Raft", "a Raft whose members change", "Dynamo"],
)
def test_no_more_members_stay_down_than_the_system_can_do_without(system: System, gone: list[str]) -> None:
    assert system.max_gone == len(gone)
    played = storm(system, Crash("n2", at=0.5, for_good=True), Crash("n1", at=0.7, for_good=True))
    assert played.broken is None
    assert down(played) == gone


def test_a_crash_for_good_has_no_restart() -> None:
    with pytest.raises(ValueError, match=r"for_good=True, but down=1.0"):
        Crash("n0", at=0.5, down=1.0, for_good=True)
