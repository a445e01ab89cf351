"""Faults that overlap: a node is paused, slow, or has a bad disk or clock until the last of them has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import Fault, FullDisk, Pause, RandomDisturbances, RandomPauses, Slow, SlowDisk, StalledDisk
from sim.faults.lasting import SLOW_CORES, wrong_clock
from sim.lab.simulation import Simulation
from sim.protocols import BasicRaft
from sim.workload import ClosedLoop

HOST = "n1"


def begun(*faults: Fault, duration: float = 6.0) -> Simulation:
    return Scenario(
        system=BasicRaft(nodes=3),
        workload=ClosedLoop(clients=2, think=0.05),
        machines=Machine(disk=Disk(fsync=0.01)),
        faults=faults,
        duration=duration,
    ).start(1)


def is_paused(simulation: Simulation) -> bool:
    return simulation.cluster.hosts[HOST].is_paused


def speed(simulation: Simulation) -> float:
    return simulation.cluster.hosts[HOST].cpu.speed


def of_disk(field: str) -> Callable[[Simulation], Any]:
    return lambda simulation: getattr(simulation.cluster.hosts[HOST].disk, field)


OVERLAPS: list[Any] = [
    pytest.param(
        (Pause(HOST, at=1.0, duration=1.0), Pause(HOST, at=1.5, duration=1.5)),
        *(is_paused, True, True, False),
        id="pauses",
    ),
    pytest.param(
        (Slow(HOST, at=1.0, duration=1.0, speed=0.1), Slow(HOST, at=1.5, duration=1.5, speed=0.5)),
        *(speed, 0.1, 0.5, 1.0),
        id="slow cores",
    ),
    pytest.param(
        (SlowDisk(HOST, at=1.0, duration=1.0, factor=20.0), SlowDisk(HOST, at=1.5, duration=1.5, factor=5.0)),
        *(of_disk("_factor"), 20.0, 5.0, 1.0),
        id="slow disks",
    ),
    pytest.param(
        (StalledDisk(HOST, at=1.0, duration=1.0), StalledDisk(HOST, at=1.5, duration=1.5)),
        *(of_disk("_stalled"), True, True, False),
        id="stalled disks",
    ),
    pytest.param(
        (FullDisk(HOST, at=1.0, duration=1.0), FullDisk(HOST, at=1.5, duration=1.5)),
        *(of_disk("_failing"), True, True, False),
        id="full disks",
    ),
]


@pytest.mark.parametrize(("faults", "look", "both", "one", "none"), OVERLAPS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_state_lasts_until_the_last_of_its_faults_has_ended(
    faults: tuple[Fault, ...], look: Callable[[Simulation], Any], both: Any, one: Any, none: Any, order: int
) -> None:
    simulation = begun(*faults[::order])
    for time, value in ((1.75, both), (2.25, one), (3.25, none)):
        simulation.run(until=time)
        assert (time, look(simulation)) == (time, value)


def test_the_end_of_a_pause_inside_a_longer_one_resumes_nobody() -> None:
    simulation = begun(Pause(HOST, at=1.0, duration=3.0), Pause(HOST, at=1.5, duration=0.5))
    simulation.run(until=3.5)
    assert is_paused(simulation)
    simulation.run()
    told = [(time, event) for time, node, event, _ in simulation.recorder.events if node == HOST]
    assert [row for row in told if row[1] in ("pause", "resume")] == [(1.0, "pause"), (4.0, "resume")]


def test_random_pauses_do_not_end_a_pause_of_another_fault() -> None:
    simulation = begun(
        Pause(HOST, at=1.0, duration=4.0),
        RandomPauses(0.1, 0.1, members=(HOST,)),
        RandomDisturbances(0.05, 0.05),
        duration=5.0,
    )
    for tenth in range(11, 50):
        simulation.run(until=tenth / 10)
        assert is_paused(simulation)


def test_the_storms_end_ends_all_that_is_in_force() -> None:
    simulation = begun(
        Pause(HOST, at=1.0, duration=9.0), Slow(HOST, at=1.0), Slow(HOST, at=1.2, name="other")
    )
    simulation.run(until=2.0)
    simulation.calm()
    assert (is_paused(simulation), speed(simulation)) == (False, 1.0)


def test_of_two_wrong_clocks_the_later_one_counts_and_the_last_end_sets_it_right() -> None:
    simulation, clock = begun(), wrong_clock(jumps=True)
    clocks = simulation.cluster.hosts[HOST].clocks
    clock.begin(simulation, HOST, (2.0, 0.1))
    clock.begin(simulation, HOST, (-3.0, 0.2))
    assert not clock.end(simulation, HOST, (2.0, 0.1))
    assert clocks.wall() == pytest.approx(-3.0)
    assert clock.end(simulation, HOST, (-3.0, 0.2))
    assert clocks.wall() == pytest.approx(0.0)
    assert clocks.rate == 1.0


def test_two_equal_faults_are_two() -> None:
    simulation = begun()
    for _ in range(2):
        SLOW_CORES.begin(simulation, HOST, 0.5)
    assert not SLOW_CORES.end(simulation, HOST, 0.5)
    assert speed(simulation) == 0.5
    assert SLOW_CORES.end(simulation, HOST, 0.5)
    assert speed(simulation) == 1.0
