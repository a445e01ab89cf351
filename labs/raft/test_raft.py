"""The public tests of the lab: `pytest` in this folder. They see no attribute of a server."""

from __future__ import annotations

import pytest
from raft import Server

from sim import Scenario
from sim.faults import Crash, OnEvent
from sim.lab.grading.raft import broken_in_storms, elections, system
from sim.workload import ClosedLoop


def answered(scenario: Scenario) -> int:
    run = scenario.run(seed=1)
    assert run.violation is None, run.violation
    return int((run.operations["status"] == "ok").sum())


def test_a_leader_is_elected_and_clients_get_answers() -> None:
    load = ClosedLoop(clients=2, think=0.05)
    assert answered(Scenario(system=system(Server), workload=load, duration=5.0, check=True)) > 20


def test_another_leader_goes_on_when_the_leader_crashes() -> None:
    scenario = Scenario(
        system=system(Server),
        workload=ClosedLoop(clients=2, think=0.05),
        faults=[Crash("there", at=OnEvent("elected", delay=1.0), down=2.0)],
        duration=12.0,
        check=True,
    )
    assert answered(scenario) > 40


@pytest.mark.parametrize("seed", range(5))
def test_a_storm_breaks_nothing(seed: int) -> None:
    assert not broken_in_storms(Server, range(seed, seed + 1))


def test_elections_end() -> None:
    measured = elections(Server, range(30))
    assert measured.status != "invalid", measured.table()
