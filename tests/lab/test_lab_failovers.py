"""Failovers of simulated runs, over runs, without frames, and in saved folders; and advice on real runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim import Scenario, Sweep, compare, load
from sim.faults import Crash
from sim.network import constant
from sim.protocols import EPaxos, PrimaryBackup, Raft
from sim.workload import OpenLoop

ONE_PROCESS: Any = {"workers": 1, "progress": None}
SCENARIO = Scenario(
    system=Raft(nodes=3),
    network=constant(0.005),
    workload=OpenLoop(rate=40.0, clients=2, reads=0.5),
    faults=[Crash("leader", at=2.0, down=1.0), Crash("leader", at=6.0, down=1.0)],
    duration=10.0,
)


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return SCENARIO.sweep({"system.detection": [0.3, 0.6]}, seeds=3, **ONE_PROCESS)


def test_each_crash_of_a_leader_is_a_failover_and_takes_one_to_two_detection_times() -> None:
    run = SCENARIO.run(seed=1)
    found = run.failovers()
    assert found["time"].tolist() == [2.0, 6.0]
    detection = SCENARIO.resolved.detection
    assert found["to_leader"].between(0.9 * detection, 2.2 * detection).all()
    assert (found["to_write"] > found["to_leader"]).all()
    assert found["crashed"].tolist()[1] == found["successor"].tolist()[0]


def test_a_system_without_a_leader_has_no_failovers() -> None:
    comparison = compare([EPaxos(nodes=3), PrimaryBackup(nodes=2)], SCENARIO, seeds=1, **ONE_PROCESS)
    found = comparison.failovers()
    assert set(found["run"]) == {"Primary-Backup, 2 nodes"}
    assert comparison.failover_times()["quantile"].tolist() == ["p50", "p90", "worst"] * 2


def test_failovers_of_all_seeds_are_taken_together_by_setting_without_running_again(sweep: Sweep) -> None:
    assert not any(run.has_frames for run in sweep.runs)
    found = sweep.failovers()
    assert not any(run.has_frames for run in sweep.runs)
    assert list(found.columns)[:3] == ["system__detection", "seed", "time"]
    assert len(found) == 2 * 3 * 2
    times = sweep.failover_times()
    leader = times[(times["until"] == "new leader") & (times["quantile"] == "p50")]
    assert leader["n"].tolist() == [6, 6]
    assert leader["value"].tolist()[0] < leader["value"].tolist()[1]
    assert leader["low"].notna().all()


def test_a_saved_sweep_keeps_its_failovers(sweep: Sweep, tmp_path: Path) -> None:
    sweep.save(tmp_path)
    loaded: Any = load(tmp_path)
    assert loaded.failovers().equals(sweep.failovers())
    assert not any(run.has_frames for run in loaded.runs)


def test_three_seeds_give_no_advice(sweep: Sweep) -> None:
    assert sweep.advice() == []


def test_more_replicas_that_gain_nothing_are_advised_against() -> None:
    quiet = Scenario(system=Raft(), network=constant(0.005), workload=OpenLoop(rate=40.0), duration=1.0)
    found = quiet.sweep({"system.nodes": [3, 5]}, seeds=5, **ONE_PROCESS).advice(
        "messages_per_operation", "acknowledged_lost"
    )
    assert [str(one)[:37] for one in found] == ["nodes 3 is never worse than nodes 5: "]
    assert found[0].rule == "never worse"
