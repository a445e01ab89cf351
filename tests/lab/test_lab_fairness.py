"""Comparisons are fair: one size, one failure detection, one timeout of clients, and the same load for all."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario, compare
from sim.faults import Crash
from sim.lab.compare import compare_scenarios
from sim.lab.fairness import fair
from sim.network import constant, lan, wan
from sim.protocols import Abd, ChainReplication, Dynamo, EPaxos, MultiPaxos, PrimaryBackup, Raft
from sim.protocols.balancing import BalancedStore
from sim.workload import ClosedLoop, OpenLoop, UniformKeys

FIVE = wan("virginia", "california", "oregon", "tokyo", "ireland")


def world(**changes: Any) -> Scenario:
    return Scenario(**{"system": Raft(), "network": FIVE, "duration": 2.0, **changes})


def sizes(systems: Any, scenario: Scenario) -> list[int]:
    return [s.resolved.size for s in fair(systems, scenario)]


def test_systems_without_a_size_get_the_same_by_one_rule() -> None:
    unlike = [PrimaryBackup(), Raft(), Abd(), Dynamo(), ChainReplication()]  # their defaults are 3 and 5
    assert sizes(unlike, world()) == [5] * 5  # a replica for each region
    assert sizes(unlike, world(system=Raft(nodes=7))) == [7] * 5  # the scenario's own
    assert sizes([Raft(nodes=3), PrimaryBackup(), MultiPaxos()], world()) == [3] * 3  # the one that was given
    assert sizes([Raft(), PrimaryBackup()], world(network=lan())) == [5, 5]  # the largest default
    assert sizes([Raft(nodes=3), Raft(nodes=7), EPaxos()], world()) == [3, 7, 5]  # what is given is kept


def test_a_default_that_was_given_is_given() -> None:
    assert Raft() == Raft(nodes=5)
    assert "nodes" in Raft(nodes=5).given
    assert "nodes" not in Raft().changed(pre_vote=True).given
    assert "nodes" not in world().vary("system__pre_vote", True).system.given
    assert sizes([Raft(nodes=5), PrimaryBackup(nodes=3)], world(network=lan())) == [5, 3]
    assert sizes([PrimaryBackup(), Raft(nodes=3)], world()) == [3, 3]


def test_what_its_other_settings_forbid_keeps_its_size_and_nested_systems_are_sized_too() -> None:
    tied = MultiPaxos(phase1=3, phase2=3)  # of five; of seven two such quorums need not meet
    assert sizes([tied, Raft(nodes=7)], world()) == [5, 7]
    assert sizes([BalancedStore(store=PrimaryBackup()), Raft()], world()) == [5, 5]


def test_one_detection_time_and_one_timeout_for_all_where_none_was_given() -> None:
    found = fair([Raft(nodes=3), PrimaryBackup(nodes=5), Abd(nodes=3), Raft(nodes=5, detection=9.0)], world())
    times = [s.resolved.detection for s in found]
    widest = world(system=Raft(nodes=5)).derived
    assert times == pytest.approx([widest["detection"]] * 3 + [9.0])
    assert {s.resolved.client_timeout for s in found} == {widest["client_timeout"]}
    alone = [world(system=Raft(nodes=n)).derived["detection"] for n in (3, 5)]
    assert alone[0] < 0.5 * alone[1]  # what each would have had by itself


def test_a_table_says_in_which_conditions_systems_differ_and_the_heading_what_they_share() -> None:
    alike = compare([Raft(), PrimaryBackup()], world(), seeds=1, workers=1, progress=None)
    assert not {"nodes", "detection"} & set(alike.table().columns)
    assert alike.heading.startswith("5 nodes; silence suspected after 2.75 s;")
    unlike = compare(
        [Raft(nodes=3), PrimaryBackup(nodes=5, detection=1.5)], world(), seeds=1, workers=1, progress=None
    )
    table = unlike.table()
    assert table["nodes"].tolist() == [3, 5]
    assert table["detection"].tolist() == pytest.approx([2.75, 1.5], rel=0.01)
    assert "detection [s]" in unlike.text()
    assert "silence suspected after 1.5 to 2.75 s" in unlike.heading


def test_a_table_says_what_is_free_and_what_a_closed_loop_hides() -> None:
    from sim.cluster import CLOUD_MACHINE

    open_ = compare(Raft(), world(), seeds=1, workers=1, progress=None).text()
    assert "free: cores, disk" in open_
    assert "closed loop" not in open_
    closed = world(workload=ClosedLoop(clients=2), machines=CLOUD_MACHINE)
    text = compare(Raft(), closed, seeds=1, workers=1, progress=None).text()
    assert "a client that waits asks nothing" in text
    assert "free:" not in text


def test_a_table_over_several_regions_gives_p50_and_p99_of_each() -> None:
    comparison = compare([Raft(), Abd()], world(leader="virginia"), seeds=2, workers=1, progress=None)
    rows = comparison.by_region()
    assert set(rows["region"]) == set(FIVE.regions)
    assert len(rows) == 2 * 2 * 5
    mine = comparison.operations.query("run == 'Raft' and seed == 1 and region == 'tokyo' and status == 'ok'")
    row = rows.query("run == 'Raft' and seed == 1 and region == 'tokyo'").iloc[0]
    assert row["p50"] == pytest.approx(mine["latency"].quantile(0.5, interpolation="lower"), rel=0.05)
    text = comparison.text()
    assert "p50 / p99 [ms] of clients in" in text
    head = next(line for line in text.splitlines() if "tokyo" in line)
    assert head.split()[1:] == list(FIVE.regions)


def outage(workload: Any, **changes: Any) -> Scenario:
    """Three regions, and a leader that is gone for good after 3 of 20 seconds."""
    return Scenario(
        **{
            "system": Raft(nodes=3),
            "network": wan("virginia", "oregon", "ireland"),
            "workload": workload,
            "faults": [Crash("leader", at=3.0)],
            "duration": 20.0,
            "leader": "virginia",
            **changes,
        }
    )


# The same outage by the clock: both detect after 3.6 s, and differ in what an operation takes.
SLOW_AND_QUICK = [
    PrimaryBackup(mode="sync", heartbeat=0.3, detection=3.6),
    PrimaryBackup(mode="async", heartbeat=0.3, detection=3.6),
]


def p99s(scenario: Scenario) -> tuple[list[float], list[float]]:
    found = compare(SLOW_AND_QUICK, scenario, seeds=2, workers=1, progress=None).summaries
    mean = found.groupby("run", sort=False)[["p99", "unavailability"]].mean()
    return mean["p99"].tolist(), mean["unavailability"].tolist()


def test_an_outage_shows_in_p99_alike_for_quick_and_slow_systems_under_the_default_load() -> None:
    default = Scenario(system=Raft()).workload
    assert isinstance(default, OpenLoop)
    (slow, quick), gone = p99s(outage(default))
    assert min(gone) > 3.2
    assert quick == pytest.approx(slow, rel=0.15)
    assert min(slow, quick) > 0.8 * min(gone)


def test_the_same_outage_hides_in_a_closed_loop_of_the_quick() -> None:
    """Why the default is open: the same two systems, each client asking again as soon as it is answered."""
    (slow, quick), gone = p99s(outage(ClosedLoop(clients=6, keys=UniformKeys(100), think=0.02)))
    assert min(gone) > 3.2
    assert quick < 0.5  # of an outage of more than 3 s there is no trace
    assert slow > 10 * quick  # which says nothing of the two systems: they were away equally long


def test_in_a_closed_loop_each_client_counts_equally() -> None:
    """One client at the replica, one 100 ms away: the near one asks a hundred times as often, and is half of p50."""
    from sim.network import matrix

    far = matrix(["here", "there"], [[0.0005, 0.05], [0.05, 0.0005]])
    scenario = Scenario(
        system=PrimaryBackup(nodes=1),
        network=far,
        workload=ClosedLoop(clients=2, reads=0.0),
        duration=5.0,
    )
    run = scenario.run(1)
    counts = run.operations["client"].value_counts()
    assert counts["c0"] > 50 * counts["c1"]
    summary = run.summary()
    assert summary["p95"] == pytest.approx(0.1, rel=0.05)
    assert summary["mean"] == pytest.approx((0.001 + 0.1) / 2, rel=0.1)
    plain = run.operations["latency"].mean()
    assert plain < 0.1 * summary["mean"]
    weights = run.weighed_operations.query("status != 'fail'").groupby("client")["weight"].sum()
    assert weights.tolist() == pytest.approx([1.0, 1.0])


def test_scenarios_compared_as_they_are_stay_as_they_are() -> None:
    cases = {name: world(network=constant(0.01), system=Raft(nodes=n)) for name, n in (("a", 3), ("b", 5))}
    comparison = compare_scenarios(cases, seeds=[1], workers=1, progress=None)
    assert comparison.scenarios == cases
    with pytest.raises(ValueError, match="is given twice"):
        compare_scenarios({"a": cases["a"], "b": dataclasses.replace(cases["a"])}, seeds=[1])
