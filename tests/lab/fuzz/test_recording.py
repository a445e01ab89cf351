"""Recorded runs: the same run without a draw of the nemesis, of the clients, or of the network."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from sim.faults import (
    Administer,
    Crash,
    DamagedDisk,
    FailedWrite,
    Flaky,
    FullDisk,
    Hold,
    OnEvent,
    OnMessage,
    Partition,
    Pause,
    PowerFailure,
    SlowDisk,
    StalledDisk,
    Strike,
    World,
)
from sim.faults.strike import VERBS, Act
from sim.lab.fuzz.playing import play
from sim.lab.fuzz.quieting import fates_of, quiet
from sim.lab.fuzz.strikes import Deed, strikes_of
from sim.lab.scenario import Scenario
from sim.lab.storm import draw_storm, run_storm
from sim.protocols import BasicRaft, PrimaryBackup, Raft, ViewstampedReplication
from sim.protocols.admin import Transfer
from sim.system import System

SYSTEMS = (BasicRaft(nodes=3), PrimaryBackup(), ViewstampedReplication())

EVERY_VERB = (
    PowerFailure(at=0.4, down=0.2),
    Flaky("n1", at=0.7, duration=0.3, delay=0.02, loss=0.5),
    Partition((("n0",), ("n1", "n2")), at=0.1, duration=0.1),
    Hold("AppendEntries", at=0.9, until=1.1, dst="n2", count=3),
    SlowDisk("n0", at=0.2, duration=0.1),
    StalledDisk("n1", at=1.2, duration=0.3),
    FullDisk("n2", at=1.3, duration=0.21),
    DamagedDisk("n0", at=1.5),
    Pause("c1", at=OnEvent("elected"), duration=0.1),
    Administer(Transfer("n1"), at=1.7),
)


def storm(system: System, seed: int, *faults: Any) -> Scenario:
    return draw_storm(system, seed, length=2.0, extra_faults=faults)


def test_a_client_that_crashes_and_restarts_goes_on_with_its_script_at_the_same_times() -> None:
    """A script counted the time of a call from the restart of its client, not from the beginning of the run."""
    crash = Crash("c0", at=OnMessage("Request", nth=14), down=0.02)
    scenario = replace(storm(BasicRaft(nodes=3), 3), faults=(crash,))
    first = play(scenario, 3)
    assert (first.run.events["event"] == "restart").sum() == 1
    again = play(first.simulation.recorded(), 3)
    assert again.run.digest() == first.run.digest()


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_recorded_storm_is_the_same_run_bit_for_bit(system: System, seed: int) -> None:
    scenario = storm(system, seed)
    first = play(scenario, seed)
    recorded = first.simulation.recorded()
    assert all(isinstance(fault, Strike) for fault in recorded.faults)
    assert play(recorded, seed).run.digest() == first.run.digest()


def test_a_run_that_is_recorded_is_the_run_itself() -> None:
    scenario = storm(BasicRaft(nodes=3), 3)
    assert play(scenario, 3).run.digest() == run_storm(scenario, 3).digest()


def test_every_verb_is_recorded() -> None:
    scenario = storm(Raft(nodes=3, transfer=True), 5, *EVERY_VERB)
    first = play(scenario, 5)
    recorded = first.simulation.recorded()
    done = {act.verb for fault in recorded.faults for act in getattr(fault, "acts", ())}
    assert set(VERBS) - done <= {"set_speed", "set_clock"}  # drawn by other storms
    assert play(recorded, 5).run.digest() == first.run.digest()


def test_a_write_that_fails_does_so_in_the_recorded_run() -> None:
    scenario = replace(storm(BasicRaft(nodes=3), 0), faults=(FailedWrite("n0", at=0.5, down=0.2),))
    first = play(scenario, 0)
    assert "disk failed" in [event for _, _, event, _ in first.simulation.recorder.events]
    assert play(first.simulation.recorded(), 0).run.digest() == first.run.digest()


def test_the_verbs_are_those_of_a_world() -> None:
    given = {
        name
        for name, member in vars(World).items()
        if inspect.isfunction(member) and inspect.signature(member).return_annotation == "None"
    }
    assert given == set(VERBS)


def test_in_the_quiet_form_with_all_fates_the_storm_is_the_same() -> None:
    scenario = storm(BasicRaft(nodes=3), 1)
    first = play(scenario, 1, messages=True, in_storm=True)
    everything = quiet(first.simulation.recorded(), fates_of(first.simulation))
    again = play(everything, 1, in_storm=True)
    assert again.run.digest() == first.run.digest()
    some = fates_of(first.simulation, slow=4.0)
    assert 0 < len(some) < len(fates_of(first.simulation))


def test_a_strike_is_what_was_done_and_what_undid_it() -> None:
    deeds = [
        Deed(1.0, "crash", ("n0",), {}),
        Deed(1.0, "crash", ("n1",), {}),
        Deed(1.2, "pause", ("n2",), {}),
        Deed(1.3, "restart", ("n0",), {"wiped": False}),
        Deed(1.4, "resume", ("n2",), {}),
        Deed(1.5, "restart", ("n1",), {"wiped": True}),
        Deed(9.0, "crash", ("n0",), {}),
    ]
    first, second = strikes_of(deeds, 8.0)
    assert [(act.verb, act.on, act.after) for act in first.acts] == [
        ("crash", ("n0",), 0.0),
        ("crash", ("n1",), 0.0),
        ("restart", ("n0",), 0.3),
        ("restart", ("n1",), 0.5),
    ]
    assert first.acts[-1].options == {"wiped": True}
    assert (second.at, [act.verb for act in second.acts]) == (1.2, ["pause", "resume"])


def test_a_schedule_stays_within_the_fault_model_of_its_system() -> None:
    """Strikes may crash all members at once; a recorded run lets only so many be down as the system allows."""
    system = ViewstampedReplication(nodes=3)
    assert system.max_down == 1
    acts = tuple(Act("crash", (name,)) for name in ("n0", "n1", "n2"))
    scenario = replace(storm(system, 1), faults=(Strike(acts, at=0.5),))
    simulation = play(scenario, 1).simulation
    assert sum(host.crashes for host in simulation.cluster.hosts.values()) == 1


def test_acts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="verb must be one of"):
        Act("explode", ("n0",))
    with pytest.raises(ValueError, match="crash acts on a node"):
        Act("crash")
    with pytest.raises(ValueError, match="cut acts on links"):
        Act("cut", ("n0",))
    with pytest.raises(ValueError, match="at least one act"):
        Strike((), at=1.0)
    with pytest.raises(ValueError, match="in order of time"):
        Strike((Act("crash", ("n0",), after=1.0), Act("restart", ("n0",))), at=1.0)
    with pytest.raises(ValueError, match="there is no 'n9'"):
        Scenario(system=BasicRaft(), faults=(Strike((Act("crash", ("n9",)),), at=1.0),))
