"""Viewstamped Replication: exact costs, storms, refused settings, readable traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.lab import draw_storm, run_storm
from sim.network import constant
from sim.protocols import ViewstampedReplication
from sim.protocols.consensus.vr.messages import Commit, StartView
from sim.protocols.consensus.vr.node import ViewstampedNode
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import storms

DELTA = 0.01


# Costs


@pytest.mark.parametrize("nodes", [3, 5, 7])
@pytest.mark.parametrize(("where", "delays"), [("lan", 4), ("n0", 2)])
def test_a_request_costs_4_delays_or_2_at_the_primary_and_2_n_minus_1_messages(
    nodes: int, where: str, delays: int
) -> None:
    scenario = Scenario(
        system=ViewstampedReplication(nodes=nodes, heartbeat=100.0, detection=1000.0),
        network=constant(DELTA),
        workload=ClosedLoop(clients={where: 1}, operations=20, reads=0.0, keys=UniformKeys(3)),
        duration=5.0,
        trace=True,
    )
    run = scenario.run(seed=1)
    writes = run.operations.iloc[1:]
    assert writes["latency"].to_numpy() == pytest.approx(delays * DELTA)
    messages = run.messages
    between = messages[messages["kind"].isin(["Prepare", "PrepareOk"])]
    assert len(between) == 20 * 2 * (nodes - 1)


def test_when_all_timers_fire_together_the_new_primary_is_normal_after_2_delays_and_the_last_backup_after_3(
    stage: Any,
) -> None:
    world = stage(ViewstampedReplication(nodes=5))
    world.run(0.2)
    world.crash("n0")
    world.run(0.1)
    start = world.now
    for name in ("n1", "n2", "n3", "n4"):
        world.step(name, "on_view_change_timeout")
    world.run(0.1)
    normal = {
        row[1]: row[0] - start for row in world.events("role") if row[0] > start and row[3]["view"] == 1
    }
    begun = {
        row[1]: row[0] - start
        for row in world.events("role")
        if row[0] > start and row[3]["role"] in ("primary", "backup")
    }
    assert set(normal) == {"n1", "n2", "n3", "n4"}
    assert begun["n1"] == pytest.approx(2 * DELTA)
    assert max(begun.values()) == pytest.approx(3 * DELTA)
    kinds = [row[0] for row in world.messages(since=start)]
    assert kinds.count("StartViewChange") == 4 * 4  # m (n - 1), to the dead one, too
    assert kinds.count("DoViewChange") == 4 - 1  # the new primary's own stays with it
    assert kinds.count("StartView") == 4


def test_recovery_takes_2_delays(stage: Any) -> None:
    world = stage(ViewstampedReplication(nodes=3))
    world.ask("n0")
    world.run(0.1)
    world.crash("n1")
    world.run(0.1)
    start = world.now
    world.restart("n1")
    world.run(0.1)
    back = [row[0] for row in world.events("role") if row[1] == "n1" and row[3]["role"] == "backup"]
    assert back[-1] - start == pytest.approx(2 * DELTA)
    assert world.node("n1").store.application.data == {"x": None}
    assert world.node("n1").log == world.node("n0").log


def test_view_changes_that_follow_each_other_wait_twice_as_long_until_a_primary_is_heard_again() -> None:
    members, settings = ("n0", "n1", "n2"), ViewstampedReplication(nodes=3, detection=1.0)
    bench = Bench(ViewstampedNode, "n2", members=members, settings=settings)

    def fire() -> float:
        began, due = bench.time, bench.timers["view_change", None]
        bench.fire("view_change")
        return due - began

    waited = [fire() for _ in range(7)]
    for wait, least in zip(waited, [1, 1, 2, 4, 8, 8, 8], strict=True):
        assert least <= wait < 2 * least
    view = bench.node.view + 2
    bench.deliver(bench.node.primary_of(view), StartView(view, (), 0, (0, 0, 0)))
    bench.deliver(bench.node.primary_of(view), Commit(view, 0))
    assert 1 <= fire() < 2


# Storms


@storms(5, 6.0)
def test_it_is_safe_in_every_storm_and_goes_on_after_it(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(ViewstampedReplication(nodes=3 + 2 * (seed % 2)), seed, length)


def test_storms_crash_replicas_that_then_recover_and_views_change() -> None:
    storms = range(6)
    roles: list[str] = []
    for seed in storms:
        events = run_storm(draw_storm(ViewstampedReplication(nodes=5), seed), seed).events
        roles += [detail["role"] for detail in events[events["event"] == "role"]["detail"]]
    assert roles.count("recovering") > len(storms)
    assert roles.count("primary") >= 1.5 * len(storms)  # one in each storm is the first


def test_never_more_than_f_replicas_are_down_or_recovering() -> None:
    for seed in range(8):
        system = ViewstampedReplication(nodes=3)
        simulation = draw_storm(system, seed).start(seed)
        worst = 0
        while simulation.now < 6.0:
            simulation.run(until=simulation.now + 0.01)
            worst = max(worst, sum(not simulation.is_well(name) for name in simulation.replicas))
        assert worst <= 1


# Settings, trace


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="nodes must be an integer of at least 1, not 0"):
        ViewstampedReplication(nodes=0)
    with pytest.raises(ValueError, match="nodes must be odd, 2f \\+ 1, not 4"):
        ViewstampedReplication(nodes=4)
    with pytest.raises(ValueError, match="leader must be one of n0, n1, n2, not 'n7'"):
        ViewstampedReplication(nodes=3, leader="n7")


def test_golden_trace_of_a_view_change(stage: Any, golden: Callable[[str, str], None]) -> None:
    world = stage(ViewstampedReplication(nodes=3))
    world.ask("n0", value=1)
    world.run(0.045)
    world.crash("n0")
    since = world.now
    world.run(0.005)
    for name in ("n1", "n2"):
        world.step(name, "on_view_change_timeout")
    world.run(0.04)
    world.ask("n1", value=2)
    world.run(0.045)
    assert any(isinstance(row, tuple) and row[0] == StartView.__name__ for row in world.messages(since=since))
    golden("vr_view_change.txt", world.trace(since))


def test_golden_trace_of_a_recovery(stage: Any, golden: Callable[[str, str], None]) -> None:
    """n2 forgets everything, and asks; an answer to the recovery that its second crash ended does not count."""
    world = stage(ViewstampedReplication(nodes=3, heartbeat=0.2, detection=2.0))
    world.ask("n0", value=1)
    world.run(0.045)
    world.crash("n2")
    since = world.now
    world.run(0.005)
    world.restart("n2")
    world.run(0.015)
    world.crash("n2")
    world.restart("n2")
    world.run(0.03)
    n2 = world.node("n2")
    log = [f"{number}: {command}" for number, command in enumerate(n2.log, 1)]
    golden("vr_recovery.txt", "\n".join([world.trace(since), f"n2 is {n2.status}, and has:", *log]))


def test_golden_trace_of_a_state_transfer(stage: Any, golden: Callable[[str, str], None]) -> None:
    """n2 misses two requests of its view, and asks for what it has not; then n0 misses a view change."""
    world = stage(ViewstampedReplication(nodes=3, heartbeat=0.2, detection=2.0))
    world.isolate("n2")
    for session in (1, 2):
        world.ask("n0", value=session, session=session)
    world.run(0.035)
    world.heal()
    since = world.now
    world.ask("n0", value=3, session=3)
    world.run(0.06)
    world.isolate("n0")
    world.ask("n0", value="lost", session=4)
    world.run(0.015)
    for name in ("n1", "n2"):
        world.step(name, "on_view_change_timeout")
    world.run(0.04)
    world.heal()
    world.ask("n1", value=5, session=5)
    world.run(0.06)
    log = [f"{number}: {command}" for number, command in enumerate(world.node("n0").log, 1)]
    golden("vr_state_transfer.txt", "\n".join([world.trace(since), "n0 has:", *log]))
    world.finish()
