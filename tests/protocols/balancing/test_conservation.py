"""No request is lost sight of: arrivals = done + under way + refused + lost, under crashes and cancellation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Cluster, Machine
from sim.network.topology import constant
from sim.protocols.balancing import (
    Balanced,
    CircuitBreaker,
    Codel,
    ConnectionLimit,
    Exponential,
    HealthChecks,
    Hedge,
    JoinIdleQueue,
    LeastConnections,
    OutlierEjection,
    PowerOfChoices,
    Prequal,
    RateLimit,
    Retries,
    RetryBudget,
    Server,
    SlowStart,
    Tied,
    Timeout,
)
from sim.protocols.balancing.balanced_invariants import WorkConserved
from sim.protocols.balancing.dispatcher import Dispatcher
from sim.protocols.balancing.messages import Answer, Cancel
from sim.protocols.balancing.resilient import ResilientDispatcher
from sim.protocols.balancing.server import ServerNode
from sim.system import SafetyViolation

Load = Callable[..., Any]

EVERYTHING = (
    Timeout(attempt=0.08, total=0.3),
    Retries(most=2, backoff=0.01, budget=RetryBudget(0.2)),
    Hedge(after=0.03),
    CircuitBreaker(failures=4, open_for=0.3),
    HealthChecks(interval=0.1, timeout=0.05, fall=2, rise=2),
    OutlierEjection(errors=3, duration=0.2),
    ConnectionLimit(most=8, waiting=5),
    RateLimit(rate=400.0, burst=20),
    SlowStart(0.5),
)
TROUBLED = (
    Server(workers=1, queue_limit=6, codel=Codel(0.005, 0.05)),
    Server(workers=2, queue_limit=4, when_full="drop"),
    Server(errors=0.3),
    Server(warm_up=1.0, cold=5.0),
)
SYSTEMS = {
    "plain": Balanced(servers=4, policy=LeastConnections(), service=Exponential(0.01)),
    "everything": Balanced(servers=TROUBLED, policy=LeastConnections(), resilience=EVERYTHING),
    "probing": Balanced(servers=TROUBLED, policy=PowerOfChoices(by="probe"), resilience=EVERYTHING),
    "prequal": Balanced(servers=TROUBLED, policy=Prequal(), resilience=EVERYTHING),
    "idle queue": Balanced(
        servers=4, policy=JoinIdleQueue(), balancers=2, resilience=(Timeout(attempt=0.1),)
    ),
    "tied": Balanced(servers=(Server(workers=1),) * 4, resilience=(Tied(), Timeout(total=0.2)), balancers=2),
    "client": Balanced(servers=TROUBLED, policy=PowerOfChoices(), resilience=EVERYTHING, where="client"),
}


def tormented(under_load: Load, system: Balanced, seed: int) -> Any:
    """A system under load while its servers crash, restart, and slow down."""
    run = under_load(system, 350.0, 700, seed=seed, delta=0.002, timeout=0.5, invariants=[WorkConserved()])
    cluster: Cluster = run.cluster
    stream = cluster.streams["test/faults"]
    for i in range(12):
        victim = f"s{stream.below(4)}"
        at = 0.1 + 0.15 * i
        cluster.env.call_at(at, lambda name: cluster.crash(name), victim)
        cluster.env.call_at(at + 0.1, lambda name: cluster.restart(name), victim)
        cluster.env.call_at(at + 0.05, lambda name: cluster.hosts[name].cpu.set_speed(0.3), f"s{i % 4}")
        cluster.env.call_at(at + 0.12, lambda name: cluster.hosts[name].cpu.set_speed(1.0), f"s{i % 4}")
    run.run(until=6.0)
    return run


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
def test_work_is_conserved_under_crashes_and_cancellation(
    under_load: Load, system: Balanced, seed: int
) -> None:
    run = tormented(under_load, system, seed)
    members = {name: host.node for name, host in run.cluster.hosts.items() if host.node is not None}
    WorkConserved().at_end(members)
    dispatchers = [node.dispatcher for node in members.values() if hasattr(node, "dispatcher")]
    assert sum(d.arrived for d in dispatchers) == 700
    assert sum(d.done for d in dispatchers) > 100
    assert all(d.under_way == 0 for d in dispatchers)  # nothing is under way for ever


def test_faults_and_guards_all_took_part(under_load: Load) -> None:
    run = tormented(under_load, SYSTEMS["everything"], 0)
    dispatcher = run.node("b0").dispatcher
    assert dispatcher.retried > 0
    assert dispatcher.hedged > 0
    assert dispatcher.refused > 0
    events = {event for _, _, event, _ in run.cluster.recorder.events}
    assert {"crash", "restart", "ejected", "returned"} <= events


def test_two_runs_of_a_seed_are_the_same(under_load: Load) -> None:
    first, second = (tormented(under_load, SYSTEMS["everything"], 5) for _ in range(2))
    assert first.source.latency == second.source.latency
    assert first.source.status == second.source.status


def break_(monkeypatch: pytest.MonkeyPatch, under_load: Load, name: str) -> SafetyViolation:
    with pytest.raises(SafetyViolation) as caught:
        tormented(under_load, SYSTEMS[name], 0)
    return caught.value


def test_the_mutant_that_frees_a_place_twice_is_caught(
    monkeypatch: pytest.MonkeyPatch, under_load: Load
) -> None:
    original = ResilientDispatcher._settle

    def settle(self: ResilientDispatcher, number: int, ok: bool | None) -> None:
        self.attempts[number].backend.in_flight -= ok is None
        original(self, number, ok)

    monkeypatch.setattr(ResilientDispatcher, "_settle", settle)
    assert break_(monkeypatch, under_load, "everything").invariant == "work conserved"


def test_the_mutant_that_forgets_to_count_the_lost_is_caught(
    monkeypatch: pytest.MonkeyPatch, under_load: Load
) -> None:
    original = Dispatcher.on_sweep_timeout

    def sweep(self: Dispatcher) -> None:
        counted = self.lost
        original(self)
        self.lost = counted

    monkeypatch.setattr(Dispatcher, "on_sweep_timeout", sweep)
    assert break_(monkeypatch, under_load, "plain").invariant == "work conserved"


def test_the_mutant_server_that_cancels_without_counting_is_caught(
    monkeypatch: pytest.MonkeyPatch, under_load: Load
) -> None:
    def on_cancel(self: ServerNode, src: str, msg: Cancel) -> None:
        if self.take_off((msg.owner or src, msg.ticket), begun_too=True):
            self.requests -= 1

    monkeypatch.setattr(ServerNode, "on_cancel", on_cancel)
    assert break_(monkeypatch, under_load, "everything").invariant == "work conserved"


def test_a_cancelled_request_is_off_the_cores_and_unanswered() -> None:
    from sim.protocols.balancing.messages import Ask
    from sim.protocols.command import Command
    from sim.testing import Bench

    bench = Bench(ServerNode, "s0", members=("s0",), settings=(Balanced(servers=1), Server()))
    bench.deliver("b0", Ask(7, Command(0, 1, "get", "k")))
    bench.deliver("b0", Cancel(7))
    assert (bench.node.requests, bench.node.cancelled, bench.jobs, bench.sent) == (0, 1, {}, [])
    bench.deliver("b0", Cancel(7))  # too late: nothing is there
    assert bench.node.cancelled == 1


def test_an_answer_from_before_a_restart_fits_no_new_request() -> None:
    cluster = Cluster(constant(0.01))
    system = Balanced(servers=1, service=1.0)
    for member in system.members():
        cluster.add(member, place="lan", profile=Machine(), settings=member.settings or system)
    cluster.boot()
    dispatcher: Any = cluster.hosts["b0"].node
    first = dispatcher.dispatcher._number
    cluster.crash("b0")
    cluster.restart("b0")
    again: Any = cluster.hosts["b0"].node
    assert again.dispatcher._number > first + 10**9
    again.dispatcher.on_answer("s0", Answer(first + 1, "ok"))
    assert again.dispatcher.late == 1
