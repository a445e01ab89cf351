"""Adding and draining servers under load, by hand and by rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols.admin import Admin, AdminSettings, Drain, Join
from sim.protocols.balancing import Autoscale, Balanced, Exponential, LeastConnections, Server
from sim.protocols.balancing.balanced_invariants import WorkConserved
from sim.system import Member

Load = Callable[..., Any]


def test_a_drained_server_finishes_what_it_has_and_gets_nothing_new(under_load: Load) -> None:
    system = Balanced(servers=3, policy=LeastConnections(), service=Exponential(0.05))
    run = under_load(system, 40.0, 800, delta=0.001, invariants=[WorkConserved()])
    dispatcher = run.node("b0").dispatcher
    run.cluster.env.call_at(5.0, lambda _: dispatcher.on_drain("source", Drain("s1")))
    run.run(until=5.1)
    received = run.node("s1").received
    run.run()
    assert run.node("s1").received == received == run.node("s1").served
    assert set(run.source.status.values()) == {"ok"}


def test_a_server_that_joins_under_load_takes_its_share(under_load: Load) -> None:
    servers = (Server(), Server(), Server(spare=True))
    run = under_load(Balanced(servers=servers, service=0.001), 100.0, 900)
    run.cluster.env.call_at(3.0, lambda _: run.node("b0").dispatcher.on_join("source", Join("s2")))
    run.run(until=3.0)
    assert run.node("s2").received == 0
    run.run()
    assert run.node("s2").received == pytest.approx(600 / 3, abs=35)


def test_a_balancer_passes_a_change_of_servers_to_the_others(under_load: Load) -> None:
    system = Balanced(servers=(Server(), Server(spare=True)), balancers=3, service=0.001)
    run = under_load(system, 100.0, 400, delta=0.001)
    cluster = run.cluster
    member = Member("admin", Admin, group="admin", role="client")
    admin = cluster.add(member, place="lan", settings=AdminSettings(system.administered_by))
    admin.boot()
    admin.node.ask(Join("s1"))
    admin.node.ask(Join("s9"))
    admin.node.ask(Drain("s0"))
    run.run(until=60.0)
    for name in system.balancer_names:
        assert [backend.name for backend in run.node(name).dispatcher.pool.members] == ["s1"]
    done = [(request, outcome) for request, outcome, _ in admin.node.outcomes]
    assert done == [(Join("s1"), True), (Join("s9"), False), (Drain("s0"), True)]


def scaled(under_load: Load, rate: float, count: int, **rule: Any) -> Any:
    servers = (Server(), Server(), *(Server(spare=True),) * 6)
    autoscale = Autoscale(target=0.6, every=2.0, start_delay=4.0, calm=6.0, least=1, **rule)
    system = Balanced(
        servers=servers, policy=LeastConnections(), service=Exponential(0.02), autoscale=autoscale
    )
    return under_load(system, rate, count, delta=0.001)


def test_servers_are_added_until_their_utilisation_is_near_its_target(under_load: Load) -> None:
    run = scaled(under_load, 150.0, 9000)  # 3 servers' worth of work: 5 at 60 %
    run.run(until=55.0)
    assert len(run.node("scaler").active) in (5, 6)
    at: dict[str, list[float]] = {"starting": [], "joined": []}
    for time, _, event, _ in run.cluster.recorder.events:
        at.get(event, []).append(time)
    assert len(at["joined"]) >= 3
    for started, joined in zip(at["starting"], at["joined"], strict=False):
        assert joined == pytest.approx(started + 4.0, abs=0.01)


def test_servers_are_drained_when_the_load_is_gone(under_load: Load) -> None:
    run = scaled(under_load, 150.0, 4500)
    run.run(until=29.0)
    assert len(run.node("scaler").active) >= 5
    run.run(until=70.0)
    assert len(run.node("scaler").active) == 1
    assert len(run.node("b0").dispatcher.pool.members) == 1
    assert set(run.source.status.values()) == {"ok"}


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: Balanced(where="client", autoscale=Autoscale()), "Autoscale"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(make: Any, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()
