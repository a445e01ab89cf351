"""Faults that keep one member down at overlapping times: it is up again after the last of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import (
    Crash,
    FailedWrite,
    Fault,
    FullDisk,
    PowerFailure,
    RandomCrashes,
    Repeated,
    Restart,
    RollingRestart,
)
from sim.lab import draw_storm
from sim.lab.fuzz.playing import play
from sim.lab.simulation import Simulation
from sim.protocols import BasicRaft
from sim.workload import ClosedLoop

HOST = "n1"


def begun(*faults: Fault) -> Simulation:
    return Scenario(
        system=BasicRaft(nodes=3),
        workload=ClosedLoop(clients=2, think=0.05),
        machines=Machine(disk=Disk(fsync=0.005)),
        faults=faults,
        duration=8.0,
    ).start(1)


def times(simulation: Simulation) -> list[tuple[str, float]]:
    """When the host crashed and restarted (seconds, rounded)."""
    simulation.run()
    rows = simulation.recorder.events
    return [(event, round(time, 1)) for time, node, event, _ in rows if node == HOST and event in ENDS]


ENDS = ("crash", "restart")
SHORT: list[Any] = [  # one that ends at 2.0 s
    Crash(HOST, at=1.0, down=1.0),
    PowerFailure(at=1.0, target=HOST, down=1.0),
    FullDisk(HOST, at=0.999, duration=1.001),
    FailedWrite(HOST, at=0.999, down=1.0),
    RollingRestart(at=1.0, down=1.0, members=(HOST,)),
]


def named(fault: Fault) -> str:
    return type(fault).__name__


@pytest.mark.parametrize("short", SHORT, ids=named)
def test_a_longer_crash_keeps_a_member_down_whatever_the_other_was(short: Fault) -> None:
    long = Crash(HOST, at=1.5, down=2.0)
    assert times(begun(short, long)) == [("crash", 1.0), ("restart", 3.5)]
    assert times(begun(long, short)) == [("crash", 1.0), ("restart", 3.5)]


@pytest.mark.parametrize("short", SHORT, ids=named)
def test_the_end_of_a_crash_inside_a_longer_one_restarts_nobody(short: Fault) -> None:
    inner = Crash(HOST, at=1.2, down=0.3)
    assert times(begun(short, inner)) == [("crash", 1.0), ("restart", 2.0)]


def test_a_crash_without_an_end_lasts_until_a_restart_which_ends_all() -> None:
    ends = Crash(HOST, at=1.0, down=4.0), Crash(HOST, at=1.5)
    assert times(begun(*ends)) == [("crash", 1.0)]
    restarted = begun(*ends, Restart(HOST, at=2.0), Crash(HOST, at=3.0, down=3.0, name="later"))
    assert times(restarted) == [("crash", 1.0), ("restart", 2.0), ("crash", 3.0), ("restart", 6.0)]


def test_a_disk_that_one_of_two_crashes_loses_is_lost() -> None:
    simulation = begun(Crash(HOST, at=1.0, down=1.0, wiped=True), Crash(HOST, at=1.5, down=1.0))
    simulation.run()
    (restart,) = [row for row in simulation.recorder.events if row[1:3] == (HOST, "restart")]
    assert restart[3] == {"wiped": True}


def test_a_full_disk_keeps_its_member_down_also_when_somebody_restarted_it_meanwhile() -> None:
    found = times(begun(FullDisk(HOST, at=1.0, duration=3.0), Restart(HOST, at=2.0)))
    assert [event for event, _ in found] == ["crash", "restart", "crash", "restart"]
    assert found[-1] == ("restart", 4.0)


def test_no_fault_brings_up_what_none_has_taken_down() -> None:
    simulation = begun(PowerFailure(at=1.5, down=0.5), Crash(HOST, at=1.6, down=0.2))
    simulation.run(until=1.0)
    simulation.crash(HOST)
    assert times(simulation) == [("crash", 1.0)]


def test_a_member_restarted_by_hand_is_up_and_earlier_crashes_hold_no_later_one() -> None:
    simulation = begun(Crash(HOST, at=1.0, down=5.0), Crash(HOST, at=3.0, down=1.0))
    simulation.run(until=2.0)
    simulation.restart(HOST)
    assert times(simulation) == [("crash", 1.0), ("restart", 2.0), ("crash", 3.0), ("restart", 4.0)]


def test_a_storm_whose_crashes_overlap_is_the_same_run_when_it_is_recorded() -> None:
    faults = (
        Repeated(Crash("n0", at=0.3, down=0.2), count=4, pause=0.05),
        RandomCrashes(0.3, 0.3, end=1.4),
        PowerFailure(at=0.7, down=0.4),
        Crash("n0", at=0.5, down=0.5, name="long"),
        Crash("n2", at=0.75, for_good=True),
        FullDisk("n1", at=0.4, duration=0.5),
    )
    played = play(
        replace(draw_storm(BasicRaft(nodes=3), 1, length=1.5, clients=2, options=False), faults=faults), 1
    )
    assert played.broken is None
    assert play(played.simulation.recorded(), 1).run.digest() == played.run.digest()
