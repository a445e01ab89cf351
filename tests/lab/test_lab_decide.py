"""Decisions from comparisons and sweeps: the frontier."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Comparison, Scenario, Sweep, compare, frontier
from sim.network import constant
from sim.protocols import PrimaryBackup, Raft
from sim.workload import OpenLoop

SCENARIO = Scenario(
    system=Raft(nodes=3), network=constant(0.005), workload=OpenLoop(rate=50.0, clients=2), duration=2.0
)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    systems = [Raft(nodes=3), Raft(nodes=5), PrimaryBackup(nodes=2)]
    return compare(systems, SCENARIO, seeds=3, workers=1, progress=None)


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return SCENARIO.sweep(system__nodes=[3, 5], seeds=3, workers=1, progress=None)


def test_more_replicas_that_gain_nothing_are_dominated(comparison: Comparison, sweep: Sweep) -> None:
    found = frontier(comparison, "messages_per_operation", "acknowledged_lost")
    assert found["status"].tolist() == ["dominated", "dominated", "frontier"]
    assert found["dominated_by"].tolist()[0] == found["run"].tolist()[2]
    found = frontier(sweep, "messages_per_operation", "acknowledged_lost")
    assert found["setting"].tolist() == ["nodes 3", "nodes 5"]
    assert found["status"].tolist() == ["frontier", "dominated"]


def test_the_chart_names_every_setting(comparison: Comparison, sweep: Sweep) -> None:
    for results, count in ((comparison, 3), (sweep, 2)):
        drawn: Any = results.plot.frontier("messages_per_operation", "p99", "throughput")
        assert len(drawn.get_legend().get_texts()) == count
        assert drawn.get_ylabel().startswith("p99 latency")


def test_what_is_no_result_or_no_name_is_refused(comparison: Comparison) -> None:
    with pytest.raises(ValueError, match="results must be"):
        frontier(SCENARIO, "p99", "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="measures must be"):
        frontier(comparison, "p99", 3)  # type: ignore[arg-type]
