"""The losses of a failover are counted exactly, and replies mark writes that may be lost."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash, Cut
from sim.network import constant, lan
from sim.protocols import PrimaryBackup
from sim.protocols.client import Retry
from sim.protocols.replication.primary_backup.node import Unreplicated
from sim.workload import ClosedLoop, Mix, OpenLoop, UniformKeys

DELTA = 0.001
CUT, CRASH = 2.0, 2.2


def failover(system: PrimaryBackup, seed: int) -> Any:
    """The primary is cut off from its backups, not from clients, and crashes for good 0.2 s later."""
    return Scenario(
        system=system,
        network=constant(DELTA),
        workload=OpenLoop(clients=3, rate=200.0, keys=UniformKeys(50), reads=0.0),
        faults=[Cut("n0", "n1", at=CUT), Cut("n0", "n2", at=CUT), Crash("n0", at=CRASH)],
        duration=5.0,
        check=True,
    ).run(seed)


@pytest.mark.parametrize("seed", range(5))
def test_an_async_failover_loses_the_unshipped_tail_and_nothing_else(seed: int) -> None:
    run = failover(PrimaryBackup(nodes=3, mode="async"), seed)
    written = run.operations[(run.operations["status"] == "ok") & (run.operations["node"] == "n0")]
    arrived = written["called"] + DELTA
    tail = written[(arrived >= CUT) & (written["returned"] < CRASH + DELTA)]
    assert len(tail) > 20
    assert run.acknowledged_lost == len(tail)


@pytest.mark.parametrize("seed", range(5))
def test_a_fallback_loses_only_what_was_flagged_in_the_frame(seed: int) -> None:
    run = failover(PrimaryBackup(nodes=3, mode="semi-sync", fallback=0.05), seed)
    answered = run.operations[(run.operations["status"] == "ok") & (run.operations["node"] == "n0")]
    flagged = answered[[isinstance(result, Unreplicated) for result in answered["result"]]]
    # Whatever waited when timeout ended, and all that came later, was told to be on one disk only.
    assert len(flagged) > 20
    assert (flagged["returned"] >= CUT + 0.05).all()
    assert run.acknowledged_lost == run.summary()["acknowledged_unreplicated"] == len(flagged)


@pytest.mark.parametrize("system", [PrimaryBackup(nodes=3), PrimaryBackup(nodes=3, mode="semi-sync")])
def test_sync_and_semi_sync_lose_nothing_and_flag_nothing(system: PrimaryBackup) -> None:
    run = failover(system, 0)
    assert run.acknowledged_lost == 0
    assert not any(isinstance(result, Unreplicated) for result in run.operations["result"])


# What lab 2 of DSLabs asks for besides


def test_members_ping_at_most_twice_per_interval_when_nothing_happens() -> None:
    run = Scenario(
        system=PrimaryBackup(nodes=3, heartbeat=0.05),
        network=constant(DELTA),
        workload=OpenLoop(clients=1, rate=20.0, keys=UniformKeys(5), reads=0.5),
        duration=5.0,
        trace=True,
    ).run(1)
    pings = run.messages[run.messages["kind"] == "Ping"]
    assert set(pings["src"]) == {"n0", "n1", "n2"}
    for _, mine in pings.groupby("src"):
        assert len(mine) <= 2 * 5.0 / 0.05


def test_each_write_takes_effect_once_though_a_fifth_of_all_messages_is_lost() -> None:
    scenario = Scenario(
        system=PrimaryBackup(nodes=3),
        network=lan(DELTA, loss=0.2),
        workload=ClosedLoop(clients=5, operations=40, mix=Mix({"increment": 1}, UniformKeys(1))),
        duration=60.0,
        retry=Retry(timeout=0.2),
        check=True,
    )
    simulation = scenario.start(1)
    simulation.run()
    operations = simulation.recorder.frame("operations")
    assert operations["status"].tolist() == ["ok"] * 200
    assert operations["attempts"].max() > 2
    primary = simulation.nodes[simulation.leader or ""]
    assert list(primary.store.application.data.values()) == [200]  # type: ignore[attr-defined]


def test_while_the_primary_crashes_repeatedly_no_client_waits_for_five_seconds() -> None:
    run = Scenario(
        system=PrimaryBackup(nodes=3),
        network=constant(DELTA),
        workload=ClosedLoop(clients=3, keys=UniformKeys(10), think=0.01),
        faults=[Crash("primary", at=2.0 + 3.0 * k, down=1.0) for k in range(8)],
        duration=28.0,
        check=True,
    ).run(1)
    assert (run.events["event"] == "crash").sum() == 8
    assert run.operations["latency"].max() < 5.0
    assert run.acknowledged_lost == 0


def test_a_primary_that_was_alone_and_lost_its_disk_does_not_lead_its_view_again(stage: Any) -> None:
    """No view was acknowledged when it was made, and it is by now: the service says so when it is asked again."""
    s = stage(PrimaryBackup(nodes=3))
    s.crash("n0", "n1")
    s.run(1.5)
    view = s.node("views").view
    assert view.members == ("n2",)
    assert s.node("n2").role == "primary"
    s.crash("n2")
    s.restart("n2", wiped=True)
    s.run(1.5)
    assert s.node("n2").role == "backup"
