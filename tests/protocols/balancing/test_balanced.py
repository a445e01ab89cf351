"""The system of balanced servers: costs, counters, limits, and settings that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Machine
from sim.distributions import Constant, Empirical, LogNormal, Pareto, bimodal
from sim.lab import Scenario
from sim.network.topology import constant
from sim.protocols.balancing import (
    Balanced,
    Exponential,
    PowerOfChoices,
    Random,
    Retries,
    Server,
    Timeout,
)
from sim.protocols.balancing.messages import Ask
from sim.protocols.balancing.server import VariedServerNode
from sim.protocols.command import Command
from sim.testing import Bench
from sim.workload import ClosedLoop, OpenLoop

Load = Callable[..., Any]
DELTA = 0.010


def test_a_balanced_request_costs_two_delays_per_hop(under_load: Load) -> None:
    run = under_load(Balanced(servers=3, service=Constant(1e-9)), 5.0, 50, delta=DELTA).run()
    assert run.latencies() == pytest.approx([4 * DELTA] * 50, abs=1e-6)


@pytest.mark.parametrize(("where", "hops"), [("balancer", 2), ("client", 1)])
def test_clients_of_a_scenario_see_two_delays_per_hop(where: Any, hops: int) -> None:
    run = Scenario(
        system=Balanced(servers=3, service=Constant(1e-9), where=where),
        network=constant(DELTA),
        workload=ClosedLoop(clients=2, think=0.01, operations=20),
        duration=5.0,
    ).run(seed=1)
    assert (run.operations["status"] == "ok").all()
    assert len(run.operations) == 40
    assert run.operations["latency"].tolist() == pytest.approx([2 * hops * DELTA] * 40, abs=1e-6)


def test_a_full_server_refuses_and_says_so(under_load: Load) -> None:
    run = under_load(Balanced(servers=(Server(queue_limit=3),), service=1.0), 1000.0, 100).run()
    server = run.node("s0")
    statuses = list(run.source.status.values())
    assert (statuses.count("ok"), statuses.count("rejected")) == (server.served, server.refused)
    assert server.served + server.refused == server.received == 100
    assert server.refused > 90


def test_a_full_server_that_drops_says_nothing(under_load: Load) -> None:
    run = under_load(
        Balanced(servers=(Server(queue_limit=3, when_full="drop"),), service=1.0), 1000.0, 100
    ).run()
    server = run.node("s0")
    assert server.dropped == 100 - len(run.source.status) > 90


def test_a_server_that_has_just_started_is_slow_for_a_while() -> None:
    server = Server(warm_up=10.0, cold=3.0)
    bench = Bench(
        VariedServerNode, "s0", members=("s0",), settings=(Balanced(servers=1, service=1.0), server)
    )
    took = []
    for ticket, time in enumerate((0.0, 5.0, 10.0, 50.0)):
        bench.time = time
        bench.deliver("b0", Ask(ticket, Command(0, 1, "get", "k")))
        took.append(bench.jobs["serve", ("b0", ticket)])
    assert took == pytest.approx([3.0, 2.0, 1.0, 1.0])


def test_servers_may_differ(under_load: Load) -> None:
    servers = (Server(service=Constant(0.1)), Server(service=Constant(0.3)))
    run = under_load(Balanced(servers=servers), 0.5, 20).run()
    assert sorted({round(seconds, 6) for seconds in run.latencies()}) == [0.1, 0.3]


def test_labels_are_short_and_tell_systems_apart() -> None:
    system = Balanced(
        servers=(Server(workers=1),) * 4,
        policy=PowerOfChoices(d=3),
        resilience=(Timeout(total=1.0), Retries()),
    )
    told = "policy=PowerOfChoices(d=3), resilience=Timeout(total=1.0)+Retries, servers=4×Server(workers=1)"
    assert system.label == f"Balanced({told})"
    assert Balanced().label == "Balanced"


def test_many_balancers_share_the_requests(under_load: Load) -> None:
    run = under_load(Balanced(servers=4, balancers=3, service=0.001, policy=Random()), 500.0, 3000).run()
    arrived = [run.node(f"b{i}").dispatcher.arrived for i in range(3)]
    assert sum(arrived) == 3000
    assert min(arrived) > 900


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: Balanced(servers=0), "0"),
        (lambda: Balanced(servers=(1, 2)), "each entry of servers must be a Server, not 1"),  # type: ignore[arg-type]
        (lambda: Balanced(where="client", balancers=2), "2"),
        (lambda: Balanced(service=-1.0), "-1.0"),
        (lambda: Balanced(service="slow"), "slow"),
        (lambda: Exponential(0.0), "0.0"),
        (lambda: LogNormal.from_mean(1.0, cv=-1.0), "-1.0"),
        (lambda: bimodal(1.0, 2.0, 1.5), "1.5"),
        (lambda: Pareto.from_mean(1.0, alpha=1.0), "1.0"),
        (lambda: Balanced(service=Pareto(1.0, 0.5)), "Balanced: service needs a positive, finite mean"),
        (lambda: Balanced(service=0.0), "Balanced: service needs a positive, finite mean"),
        (lambda: Server(service=0.0), "Server: service needs a positive, finite mean"),
        (lambda: Server(service=()), "non-empty"),
        (lambda: Empirical((1.0, -3.0)), "-3.0"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(make: Callable[[], Any], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()


@pytest.mark.parametrize(
    ("system", "host", "word"),
    [
        (Balanced(servers=(Server(workers=4),)), Machine(), "4 cores"),
        (Balanced(servers=(Server(), Server(workers=2))), Machine(cores=1), "s1 has workers=2"),
        (Balanced(servers=1, priorities=("get",)), Machine(), "discipline 'priority'"),
    ],
)
def test_what_its_machine_cannot_serve_is_refused_with_the_scenario(
    system: Balanced, host: Machine, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        Scenario(system=system, machines=host, workload=OpenLoop(rate=10.0))


@pytest.mark.parametrize("host", [Machine(cores=4), Machine(discipline="processor-sharing")])
def test_a_server_serves_as_many_at_once_as_it_has_workers(host: Machine) -> None:
    system = Balanced(servers=(Server(workers=4),), service=1.0)
    scenario = Scenario(
        system=system,
        machines=host,
        network=constant(0.0),
        workload=OpenLoop(rate=100.0),
        duration=1.0,
        sample_every=0.1,
    )
    live = scenario.start(seed=1)
    live.run(until=0.9)
    assert live.nodes["s0"].busy == 4  # type: ignore[attr-defined]
