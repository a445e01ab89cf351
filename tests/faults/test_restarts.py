"""Power failures, rolling restarts, faults that come again, crashes of clients."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import (
    Crash,
    Cut,
    OnEvent,
    OnMessage,
    OnWrite,
    Pause,
    PowerFailure,
    Repeated,
    RollingRestart,
)
from sim.faults.fault import Fault
from sim.network import constant, matrix
from sim.protocols import PrimaryBackup, Raft
from sim.workload import ClosedLoop, OpenLoop, UniformKeys

DISK = Machine(disk=Disk(fsync=0.004))


def scenario(*faults: Fault, **changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": Raft(nodes=3),
        "network": constant(0.005),
        "workload": ClosedLoop(clients=2, keys=UniformKeys(5), think=0.02),
        "machines": DISK,
        "duration": 4.0,
        "check": True,
    }
    return Scenario(**{**base, **changes}, faults=faults)


def events(one: Scenario, *names: str, seed: int = 1) -> list[tuple[float, str, str]]:
    frame = one.run(seed).events
    chosen = frame[frame["event"].isin(names)]
    return [(round(t, 6), n, e) for t, n, e in chosen[["time", "node", "event"]].itertuples(index=False)]


def test_a_power_failure_takes_all_members_down_at_one_instant_in_mid_write() -> None:
    simulation = scenario(PowerFailure(at=OnWrite(nth=200), down=0.3)).start(1)
    hosts = simulation.cluster.hosts
    while simulation.step() and all(hosts[name].is_up for name in simulation.replicas):
        unsynced = [hosts[name].disk.unsynced for name in simulation.replicas]
    assert any(unsynced)  # a write was on its way to a disk
    assert not any(hosts[name].is_up for name in simulation.replicas)
    simulation.run()
    rows = [(e[0], e[1], e[2]) for e in simulation.recorder.events if e[2] in ("crash", "restart")]
    (failed,) = {t for t, _, e in rows if e == "crash"}
    assert {t for t, _, e in rows if e == "restart"} == {failed + 0.3}


def test_without_power_no_unsynced_write_survives_and_after_a_crash_some_do() -> None:
    def kept(fault: Fault) -> set[int]:
        found = set()
        for seed in range(10):
            simulation = scenario(fault, machines=Machine(disk=Disk(fsync=0.2))).start(seed)
            disk = simulation.cluster.hosts["n1"].disk
            simulation.run(until=1.0)
            synced = disk.synced
            simulation.run(until=1.0 + 1e-6)
            found.add(disk.synced - synced)
        return found

    assert kept(PowerFailure(at=1.0)) == {0}
    assert max(kept(Crash("n1", at=1.0))) > 0


def test_the_power_of_one_region_fails_for_its_members_only() -> None:
    network = matrix(["x", "y", "z"], [[0.001] * 3] * 3)
    struck = events(
        scenario(PowerFailure(at=1.0, target="x"), system=Raft(nodes=5), network=network), "crash"
    )
    assert struck == [(1.0, "n0", "crash"), (1.0, "n3", "crash")]


def test_a_rolling_restart_takes_one_member_after_the_other() -> None:
    assert events(scenario(RollingRestart(at=1.0, down=0.1, pause=0.5)), "crash", "restart") == [
        (1.0, "n0", "crash"),
        (1.1, "n0", "restart"),
        (1.6, "n1", "crash"),
        (1.7, "n1", "restart"),
        (2.2, "n2", "crash"),
        (2.3, "n2", "restart"),
    ]


def test_a_repeated_cut_is_a_link_that_flaps_and_a_repeated_crash_a_restart_loop() -> None:
    flaps = events(
        scenario(Repeated(Cut("n0", "n1", at=1.0, duration=0.1), count=3, pause=0.2)), "cut", "heal"
    )
    assert [(t, e) for t, _, e in flaps] == [
        (1.0, "cut"), (1.1, "heal"), (1.3, "cut"), (1.4, "heal"), (1.6, "cut"), (1.7, "heal"),
    ]  # fmt: skip
    loop = events(scenario(Repeated(Crash("n2", at=1.0, down=0.1), count=2, pause=0.4)), "crash", "restart")
    assert [t for t, _, _ in loop] == [1.0, 1.1, 1.5, 1.6]


def test_a_repeated_fault_finds_its_target_each_time() -> None:
    crashes = events(
        scenario(
            Repeated(Crash("leader", at=OnEvent("elected"), down=2.0), count=2, pause=0.1), duration=8.0
        ),
        "crash",
        "elected",
    )
    assert len([c for c in crashes if c[2] == "crash"]) == 2
    assert len({n for _, n, e in crashes if e == "crash"}) == 2


@pytest.mark.parametrize("fault", [Cut("n0", "n1", at=1.0), Crash("n0", at=1.0), RollingRestart(at=1.0)])
def test_only_a_fault_with_an_end_can_be_repeated(fault: Fault) -> None:
    if isinstance(fault, RollingRestart):
        assert Repeated(fault, count=2, pause=1.0).targets() == ()
        return
    with pytest.raises(ValueError, match="has no end, or no time at"):
        Repeated(fault, count=2, pause=1.0)


@pytest.mark.parametrize("system", [Raft(nodes=3), PrimaryBackup()])
@pytest.mark.parametrize("workload", [ClosedLoop(clients=2, think=0.01), OpenLoop(rate=200.0, clients=2)])
def test_a_client_that_crashes_forgets_its_answers_and_goes_on_after_its_restart(
    system: Any, workload: Any
) -> None:
    run = scenario(
        Crash("c0", at=OnMessage("Request", src="c0", nth=30), down=0.5), system=system, workload=workload
    )
    done = run.run(1)
    (died,) = done.events[done.events.event == "crash"].time
    mine = done.operations[done.operations.client == "c0"]
    open_then = mine[(mine.called <= died) & (mine.returned.isna() | (mine.returned > died))]
    assert len(open_then) > 0
    assert set(open_then.status) == {"info"}
    assert not ((mine.called > died) & (mine.called < died + 0.5)).any()
    later = mine[(mine.called >= died + 0.5) & (mine.status == "ok")]
    assert len(later) > 10
    assert later.latency.max() < 1.0
    assert done.check().ok


def test_a_client_that_is_down_when_the_faults_end_comes_back_and_issues_nothing_new() -> None:
    simulation = scenario(Crash("c0", at=1.0), Pause("c1", at=1.0, duration=9.0)).start(1)
    simulation.run(until=2.0)
    assert not simulation.is_up("c0")
    simulation.calm()
    count = len(simulation.recorder.operations)
    simulation.run(until=3.0)
    assert simulation.is_up("c0")
    assert len(simulation.recorder.operations) <= count + 1
