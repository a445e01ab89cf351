"""The cost of a run at the user's prices: machines and traffic, by hand and on simulated runs."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from sim import Prices, Scenario, compare
from sim.analysis.costs import cost
from sim.network import constant, wan
from sim.protocols import PrimaryBackup, Raft, ShardedRaft
from sim.workload import OpenLoop

NODES = pd.DataFrame(
    [
        ("a", "east", "replica"),
        ("b", "east", "replica"),
        ("c", "west", "service"),
        ("client", "west", "client"),
    ],
    columns=["node", "region", "role"],
)
GB = 10**9
LINKS = pd.DataFrame(
    [
        ("a", "b", "replica", 4 * GB),
        ("a", "c", "replica", 2 * GB),
        ("c", "a", "service", 1 * GB),
        ("a", "client", "replica", 3 * GB),
        ("client", "a", "client", 100 * GB),  # what clients send costs the system nothing
    ],
    columns=["src", "dst", "src_role", "bytes"],
)
OPERATIONS = pd.DataFrame({"status": ["ok"] * 4 + ["info"]})
HALF_AN_HOUR = 1800.0


def total(prices: Prices, **given: Any) -> float:
    return cost(OPERATIONS, LINKS, NODES, prices, duration=HALF_AN_HOUR, **given).per_hour


def test_machines_cost_by_the_hour_however_long_the_run_was() -> None:
    assert total(Prices(machine=0.5)) == 1.5
    assert total(Prices(machine={"a": 1.0, "west": 4.0, "*": 0.5})) == 1.0 + 0.5 + 4.0
    assert total(Prices(machine={"service": 0.1, "*": 1.0})) == pytest.approx(2.1)


def test_members_that_share_a_machine_pay_for_one_and_exchange_nothing_over_the_network() -> None:
    shared = {"a": "m0", "b": "m0"}
    assert total(Prices(machine=0.5), machines=shared) == 1.0
    assert total(Prices(within=1.0), machines=shared) == 0.0


def test_traffic_costs_by_the_gigabyte_that_members_send() -> None:
    assert total(Prices(within=1.0)) == 4 / 0.5
    assert total(Prices(between=1.0)) == (2 + 1 + 3) / 0.5
    assert total(Prices(between={"east": 1.0, "*": 0.0})) == (2 + 3) / 0.5
    assert total(Prices(between={"west->east": 7.0, "west": 9.0, "east": 0.0})) == 7 / 0.5


def test_the_parts_add_up_and_a_month_has_730_hours() -> None:
    found = cost(OPERATIONS, LINKS, NODES, Prices(machine=0.5, between=0.1), duration=HALF_AN_HOUR)
    assert found.parts["part"].tolist() == ["machines"] * 2 + ["traffic within"] + ["traffic between"] * 2
    assert found.parts["per_hour"].sum() == pytest.approx(found.per_hour) == pytest.approx(1.5 + 1.2)
    assert found.per_month == pytest.approx(730 * 2.7)
    assert found.per_million == pytest.approx(2.7 / 8 * 1e6)
    assert str(found) == "$2.7 an hour, $1,971 a month, $3.375e+05 a million operations"
    nothing = cost(OPERATIONS[:0], LINKS, NODES, Prices(), duration=HALF_AN_HOUR)
    assert math.isnan(nothing.per_million)


def test_what_has_no_price_is_refused() -> None:
    with pytest.raises(ValueError, match="no price for b: name b or b or east or replica, or"):
        total(Prices(machine={"a": 1.0}))
    with pytest.raises(ValueError, match="between has no price for west->east"):
        total(Prices(between={"east": 1.0}))


SCENARIO = Scenario(
    system=Raft(nodes=3),
    network=wan("virginia", "oregon", "tokyo"),
    workload=OpenLoop(rate=50.0, clients=3),
    duration=2.0,
)


def test_a_run_has_a_cost_and_a_price_of_what_is_not_there_is_refused() -> None:
    run = SCENARIO.run(seed=1)
    found = run.cost(Prices(machine=1.0, between=0.02))
    sent = run.links[run.links["src_role"] != "client"]
    region = dict(zip(run.nodes["node"], run.nodes["region"], strict=True))
    far = [region[a] != region[b] for a, b in zip(sent["src"], sent["dst"], strict=True)]
    traffic = sent["bytes"][far].sum() / 1e9 * 0.02 * 3600 / 2.0
    assert found.per_hour == pytest.approx(3.0 + traffic)
    with pytest.raises(ValueError, match="machine names 'paris'; the scenario has n0, n1, n2, virginia"):
        run.cost(Prices(machine={"paris": 1.0, "*": 0.0}))
    with pytest.raises(ValueError, match="between names 'tokio->oregon'"):
        run.cost(Prices(between={"tokio->oregon": 1.0, "*": 0.0}))


def test_groups_on_shared_machines_pay_for_each_machine_once() -> None:
    run = Scenario(system=ShardedRaft(groups=4), network=constant(0.001), duration=1.0).run(1)
    assert run.cost(Prices(machine=1.0)).per_hour == float(len(ShardedRaft(groups=4).machines))


def test_cost_is_a_measure_of_comparisons() -> None:
    prices = Prices(machine=1.0, currency="EUR ")
    comparison = compare(
        [Raft(nodes=3), Raft(nodes=5), PrimaryBackup(nodes=2)],
        SCENARIO, seeds=2, measures=[prices.measure()], workers=1, progress=None,
    )  # fmt: skip
    assert comparison.table()["cost"].tolist() == [3.0, 5.0, 3.0]  # two replicas and a view service
    assert "cost [EUR /h]" in comparison.text()
    scenario = SCENARIO.measuring([prices.measure("million")])
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    with pytest.raises(ValueError, match="machine names 'paris'"):
        SCENARIO.measuring([Prices(machine={"paris": 1.0}).measure()])
