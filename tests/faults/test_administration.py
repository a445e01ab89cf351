"""Requests of administrators are served by the system or refused with the scenario, and reported at the end."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario, protocols
from sim.faults import Administer, Crash
from sim.network import constant
from sim.protocols import Balanced, Raft
from sim.protocols.admin import Drain, Join, Leave, Reconfigure, Transfer
from sim.protocols.balancing import BalancedStore, LeastConnections, Server
from sim.system import System
from sim.workload import ClosedLoop, Mix, NoLoad, OpenLoop, UniformKeys

SERVED: dict[str, set[type]] = {
    "Raft(transfer)": {Transfer, Drain},
    "Raft(membership)": {Join, Leave, Reconfigure},
    "BalancedStore(Raft(transfer))": {Transfer, Drain},
    "Swim": {Join, Leave},
    "Balanced": {Join, Drain},
}
"""All that is served; other systems, a new one too, serve nothing, and say so when the scenario is built."""


def made(name: str) -> System | None:
    """A system with its defaults; None for one that needs arguments."""
    try:
        return getattr(protocols, name)()  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        return None


SYSTEMS: dict[str, System] = {
    "Raft(transfer)": Raft(nodes=3, transfer=True),
    "Raft(membership)": Raft(nodes=3, membership="single"),
    "BalancedStore(Raft(transfer))": BalancedStore(store=Raft(nodes=3, transfer=True)),
    "BalancedStore(Raft)": BalancedStore(store=Raft(nodes=3)),
    **{
        name: system
        for name in protocols.__all__
        if issubclass(getattr(protocols, name), System) and (system := made(name)) is not None
    },
}


def scenario(system: System, *faults: Any, **fields: Any) -> Scenario:
    kinds = sorted(system.operations)
    workload = (
        ClosedLoop(clients=2, think=0.05, mix=Mix({kinds[0]: 1.0}, UniformKeys(3))) if kinds else NoLoad()
    )
    return Scenario(
        **{"duration": 3.0, "workload": workload, "network": constant(0.001), **fields},
        system=system,
        faults=faults,
    )


def requests_to(system: System) -> tuple[Any, ...]:
    """One request of each kind, that names members of the system."""
    names = [member.name for member in system.members() if member.role == "replica"]
    one, two = names[0], names[-1]
    return (Join(two), Leave(two), Reconfigure((one, two)), Transfer(two), Drain(two))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_request_is_served_or_refused_with_the_scenario_and_never_dies_in_mid_run(name: str) -> None:
    system = SYSTEMS[name]
    for request in requests_to(system):
        fault = Administer(request, at=1.0)
        if type(request) in SERVED.get(name, set()):
            run = scenario(system, fault, duration=1.5).run(seed=1)
            (row,) = run.events[run.events.event == "admin"].detail
            assert row["request"] == repr(request)
        else:
            with pytest.raises(ValueError, match="does not serve") as refused:
                scenario(system, fault)
            assert repr(request) in str(refused.value)


def test_a_live_session_refuses_what_the_system_does_not_serve() -> None:
    with pytest.raises(ValueError, match="does not serve Join"):
        scenario(Raft(nodes=3)).start(1).administer(Join("n1"))


def test_a_refusal_names_the_setting_that_would_do_and_what_is_served() -> None:
    with pytest.raises(ValueError, match="transfer=True"):
        scenario(Raft(nodes=3), Administer(Transfer("n1"), at=1.0))
    with pytest.raises(ValueError, match="it serves Drain, Transfer"):
        scenario(Raft(nodes=3, transfer=True), Administer(Join("n1"), at=1.0))


@pytest.mark.parametrize("named", ["n9", "leader", "random"])
def test_requests_name_members(named: str) -> None:
    for system, request in (
        (Raft(nodes=3, transfer=True), Transfer(named)),
        (Raft(nodes=3, membership="single"), Join(named)),
    ):
        with pytest.raises(ValueError, match=named):
            scenario(system, Administer(request, at=1.0))


@pytest.mark.parametrize("request_", ["Join", Join, 3, None])
def test_only_requests_can_be_administered(request_: Any) -> None:
    with pytest.raises(ValueError, match="request must be one of"):
        Administer(request_, at=1.0)


@pytest.mark.parametrize("balancers", [1, 3])
def test_a_spare_server_gets_requests_once_it_has_joined_and_none_once_it_is_drained(balancers: int) -> None:
    system = Balanced(
        servers=(Server(), Server(), Server(spare=True)),
        service=0.001,
        policy=LeastConnections(),
        balancers=balancers,
    )
    faults = [Administer(Join("s2"), at=1.0), Administer(Drain("s2"), at=2.0)]
    run = scenario(system, *faults, workload=OpenLoop(rate=300.0), duration=3.0, sample_every=0.1).run(seed=1)
    received = run.samples[(run.samples.gauge == "received") & (run.samples.node == "s2")]
    before, joined, drained, end = (received[received.time <= t].value.max() for t in (0.95, 1.95, 2.15, 3.0))
    assert before == 0 < joined
    assert drained == end
    assert [row["done"] for row in run.events[run.events.event == "admin"].detail] == [True, True]


def test_a_spare_that_can_never_join_is_refused() -> None:
    with pytest.raises(ValueError, match="can never join"):
        Balanced(servers=(Server(), Server(spare=True)), where="client")


# A transfer to a server that does not answer (the case transfer_to_dead)


def answered(*faults: Any) -> tuple[int, list[dict[str, Any]]]:
    run = Scenario(
        system=Raft(nodes=3, transfer=True, pre_vote=True, check_quorum=True),
        network=constant(0.005),
        workload=ClosedLoop(clients=4, think=0.05, keys=UniformKeys(10)),
        faults=[*faults],
        duration=20.0,
    ).run(seed=1)
    return int((run.operations.status == "ok").sum()), list(run.events[run.events.event == "admin"].detail)


def test_a_transfer_to_a_dead_server_costs_no_service_and_is_reported_as_failed() -> None:
    undisturbed, _ = answered(Crash("n2", at=2.0, down=None))
    count, outcomes = answered(Crash("n2", at=2.0, down=None), Administer(Transfer("n2"), at=4.0))
    assert count > 0.9 * undisturbed
    assert [(row["request"], row["done"]) for row in outcomes] == [("Transfer(to='n2')", False)]
    assert "n2 has not answered" in outcomes[0]["reason"]


def test_a_transfer_to_a_server_that_dies_just_before_costs_one_election_timeout_and_is_reported() -> None:
    undisturbed, _ = answered(Crash("n2", at=3.999, down=None))
    count, outcomes = answered(Crash("n2", at=3.999, down=None), Administer(Transfer("n2"), at=4.0))
    # An election timeout is 0.5 s of 20 s; clients that were turned away back off for as long again at most.
    assert count > 0.9 * undisturbed
    assert [row["done"] for row in outcomes] == [False]
    assert "did not take over within an election timeout" in outcomes[0]["reason"]


def test_without_a_named_transferee_a_server_that_answers_is_chosen() -> None:
    _, outcomes = answered(Crash("n2", at=2.0, down=None), Administer(Transfer(), at=4.0))
    assert [row["done"] for row in outcomes] == [True]


def test_a_request_that_has_no_outcome_when_the_run_ends_is_reported_all_the_same() -> None:
    system = Raft(nodes=3, membership="single", spares=1)
    cut = [Crash("n0", at=1.0, down=None), Crash("n1", at=1.0, down=None)]
    run = scenario(system, *cut, Administer(Join("n3"), at=2.0), Administer(Leave("n2"), at=2.5)).run(seed=1)
    outcomes = list(run.events[run.events.event == "admin"].detail)
    assert [(row["request"], row["done"]) for row in outcomes] == [
        ("Join(member='n3', voter=True)", False),
        ("Leave(member='n2')", False),
    ]
    assert "when the run ended" in outcomes[0]["reason"]
