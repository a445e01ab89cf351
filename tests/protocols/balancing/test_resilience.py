"""The effects of the resilience values in a running system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import Any

import pytest

from sim.cluster import Cluster, Machine
from sim.distributions import Constant
from sim.network.topology import constant
from sim.node import Node
from sim.protocols.admin import Join
from sim.protocols.balancing import (
    Balanced,
    CircuitBreaker,
    Codel,
    ConnectionLimit,
    Exponential,
    HealthChecks,
    Hedge,
    LeastConnections,
    OutlierEjection,
    Random,
    RateLimit,
    Retries,
    RetryBudget,
    RoundRobin,
    Server,
    SlowStart,
    Tied,
    Timeout,
)
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.pool import Pool
from sim.protocols.command import Command
from sim.system import Member

Load = Callable[..., Any]
OffBy = Callable[[Sequence[float], float], float]
WIDE = Machine(cores=1000)  # so that nothing queues


# Theory


@pytest.mark.parametrize("after", [0.5, 1.5])
def test_the_tail_of_a_hedge_is_the_product_of_two_tails(under_load: Load, after: float) -> None:
    # shared/data/published.json, queueing, hedge: P(T > t) = S(t) for t < D, S(t) S(t - D) after.
    system = Balanced(servers=5, policy=Random(), service=Exponential(1.0), resilience=(Hedge(after=after),))
    latencies = under_load(system, 50.0, 20_000, host=WIDE).run().latencies()
    for t in (0.25, 0.4, 1.0, 2.0, 3.0):
        expected = exp(-t) * (exp(-(t - after)) if t > after else 1.0)
        seen = sum(latency > t for latency in latencies) / len(latencies)
        assert abs(seen - expected) < 4 * (expected * (1 - expected) / len(latencies)) ** 0.5


def test_the_extra_load_of_hedging_is_the_tail_at_its_delay(under_load: Load) -> None:
    system = Balanced(servers=5, policy=Random(), service=Exponential(1.0), resilience=(Hedge(after=2.0),))
    run = under_load(system, 50.0, 20_000, host=WIDE).run()
    expected = exp(-2.0)
    assert abs(run.node("b0").dispatcher.hedged / 20_000 - expected) < 4 * (expected / 20_000) ** 0.5


def test_hedging_at_a_quantile_sends_that_share_twice(under_load: Load) -> None:
    system = Balanced(
        servers=5,
        policy=Random(),
        service=Exponential(1.0),
        resilience=(Hedge(quantile=0.9, cancel=False),),
    )
    run = under_load(system, 50.0, 10_000, host=WIDE).run()
    assert run.node("b0").dispatcher.hedged / 10_000 == pytest.approx(0.1, abs=0.02)


class Fork(Node):
    """Forks each request to two servers and joins their answers."""

    settings: tuple[float, int]

    def on_start(self) -> None:
        self.open: dict[int, tuple[float, int]] = {}
        self.times: list[float] = []
        self.made = 0
        self.set_timer("arrival", self.random.exponential(1.0 / self.settings[0]))

    def on_arrival_timeout(self) -> None:
        self.made += 1
        self.open[self.made] = (self.now, 2)
        for server in ("s0", "s1"):
            self.send(server, Ask(self.made, Command(0, 1, "get", "k")))
        if self.made < self.settings[1]:
            self.set_timer("arrival", self.random.exponential(1.0 / self.settings[0]))

    def on_answer(self, src: str, msg: Answer) -> None:
        came, missing = self.open[msg.ticket]
        self.open[msg.ticket] = (came, missing - 1)
        if missing == 1:
            self.times.append(self.now - came)


def test_fork_join_of_two_takes_as_long_as_flatto_and_hahn_say(off_by: OffBy) -> None:
    # (12 - rho) / 8 of an M/M/1 queue's time (Flatto & Hahn 1984; Nelson & Tantawi 1988): 2.875 at rho = 0.5.
    means = []
    for seed in range(10):
        cluster = Cluster(constant(0.0), seed=seed)
        system = Balanced(servers=2, service=Exponential(1.0))
        for member in system.members():
            cluster.add(member, place="lan", settings=member.settings or system)
        fork = cluster.add(Member("fork", Fork, group="fork"), place="lan", settings=(0.5, 6000))
        cluster.boot()
        cluster.env.run()
        node: Any = fork.node
        means.append(sum(node.times[600:]) / len(node.times[600:]))
    assert off_by(means, (12 - 0.5) / 8 * 2.0) < 3


# Timeouts, retries, hedges, ties


def test_an_attempt_that_takes_too_long_is_given_up_and_tried_elsewhere(under_load: Load) -> None:
    servers = (Server(service=Constant(10.0)), Server(service=Constant(0.01)))
    retries = (Timeout(attempt=0.1), Retries(most=1, backoff=0.0))
    system = Balanced(servers=servers, resilience=retries, policy=RoundRobin(random_start=False))
    run = under_load(system, 1.0, 20).run(until=60.0)
    assert set(run.source.status.values()) == {"ok"}
    assert max(run.source.latency.values()) == pytest.approx(0.11)
    assert run.node("s0").cancelled == run.node("s0").received == 10


def test_a_deadline_that_is_not_carried_lets_servers_do_useless_work(under_load: Load) -> None:
    wasted = {}
    for carried in (True, False):
        system = Balanced(
            servers=(Server(workers=1),), service=0.1, resilience=(Timeout(total=0.25, carried=carried),)
        )
        run = under_load(system, 20.0, 400, seed=3).run()
        served = run.node("s0").served
        wasted[carried] = served - list(run.source.status.values()).count("ok")
    assert wasted[True] == 0
    assert wasted[False] > 100


def test_a_retry_waits_exponentially_longer() -> None:
    waits = [min(0.01 * 2.0**k, 0.05) for k in range(5)]
    assert waits == [0.01, 0.02, 0.04, 0.05, 0.05]
    cluster, source = refusing_cluster(Retries(most=5, backoff=0.01, backoff_max=0.05, jitter=False))
    cluster.env.run()
    assert source.node.latency[0] == pytest.approx(sum(waits))


def refusing_cluster(retries: Retries) -> tuple[Cluster, Any]:
    """A server that refuses everything, and one request."""
    cluster = Cluster(constant(0.0))
    system = Balanced(servers=(Server(errors=1.0, error_time=0.0),), resilience=(retries,))
    for member in system.members():
        cluster.add(member, place="lan", settings=member.settings or system)
    source = cluster.add(Member("one", One, group="one"), place="lan")
    cluster.boot()
    return cluster, source


class One(Node):
    """Sends one request."""

    def on_start(self) -> None:
        self.latency: dict[int, float] = {}
        self.send("b0", Ask(0, Command(0, 1, "get", "k")))

    def on_answer(self, src: str, msg: Answer) -> None:
        self.latency[msg.ticket] = self.now


def test_retries_stay_within_their_budget_in_a_run(under_load: Load) -> None:
    budget = RetryBudget(ratio=0.1, burst=5)
    system = Balanced(servers=(Server(errors=1.0),) * 3, resilience=(Retries(most=3, budget=budget),))
    run = under_load(system, 100.0, 1000).run()
    assert run.node("b0").dispatcher.retried == pytest.approx(0.1 * 1000 + 5, abs=1)


def test_without_a_budget_every_request_is_retried_to_the_end(under_load: Load) -> None:
    system = Balanced(servers=(Server(errors=1.0),) * 3, resilience=(Retries(most=3),))
    run = under_load(system, 100.0, 200).run()
    assert run.node("b0").dispatcher.retried == 600
    assert set(run.source.status.values()) == {"error"}


def test_the_losers_of_a_hedge_are_called_off(under_load: Load) -> None:
    servers = (Server(service=Constant(5.0)), Server(service=Constant(0.01)))
    system = Balanced(servers=servers, resilience=(Hedge(after=0.1),))
    run = under_load(system, 1.0, 10).run()
    assert max(run.source.latency.values()) == pytest.approx(0.11)
    assert (run.node("s0").served, run.node("s0").cancelled) == (0, 5)


def test_of_a_tied_request_only_one_copy_is_worked_on(under_load: Load) -> None:
    system = Balanced(servers=(Server(workers=1),) * 4, service=Exponential(0.01), resilience=(Tied(),))
    run = under_load(system, 1e5, 500).run()
    assert set(run.source.status.values()) == {"ok"}
    served = sum(run.node(f"s{i}").served for i in range(4))
    assert 500 <= served <= 500 + 4  # both begin only when both servers are idle


def test_tied_requests_wait_less_than_single_ones(under_load: Load) -> None:
    means = {}
    for tied in ((), (Tied(),)):
        servers = (Server(workers=1),) * 8
        system = Balanced(servers=servers, policy=Random(), service=Exponential(1.0), resilience=tied)
        latencies = under_load(system, 8 * 0.7, 8000).run().latencies(skip=800)
        means[bool(tied)] = sum(latencies) / len(latencies)
    assert means[True] < 0.7 * means[False]


# Limits


def test_a_rate_limit_lets_its_rate_through(under_load: Load) -> None:
    system = Balanced(servers=10, service=0.001, resilience=(RateLimit(rate=50.0, burst=10),))
    run = under_load(system, 200.0, 2000).run()
    passed = run.node("b0").dispatcher.done
    assert passed == pytest.approx(10 + 50.0 * run.source.started[-1], rel=0.03)


def test_a_connection_limit_holds_requests_back_and_refuses_beyond_its_queue(under_load: Load) -> None:
    system = Balanced(servers=2, service=1.0, resilience=(ConnectionLimit(most=3, waiting=4),))
    run = under_load(system, 1000.0, 50).run()
    assert [run.cluster.hosts[f"s{i}"].cpu.backlog_max for i in range(2)] == [3, 3]
    statuses = list(run.source.status.values())
    assert (statuses.count("ok"), statuses.count("rejected")) == (10, 40)


def test_controlled_delay_keeps_the_waits_of_the_served_short(under_load: Load) -> None:
    median = {}
    for codel in (None, Codel(target=0.02, interval=0.1)):
        system = Balanced(servers=(Server(workers=1, codel=codel),), service=Exponential(0.01))
        run = under_load(system, 130.0, 4000, seed=2).run()
        served = sorted(s for t, s in run.source.latency.items() if run.source.status[t] == "ok")
        median[codel is not None] = served[len(served) // 2]
    assert median[True] < 0.25 < 1.0 < median[False]


# Health


def test_a_breaker_sends_nothing_while_it_is_open(under_load: Load) -> None:
    system = Balanced(servers=(Server(errors=1.0),), resilience=(CircuitBreaker(failures=5, open_for=10.0),))
    run = under_load(system, 100.0, 500).run()
    assert run.node("s0").received == 5
    assert list(run.source.status.values()).count("rejected") == 495


def test_an_outlier_is_ejected_and_comes_back(under_load: Load) -> None:
    servers = (Server(errors=1.0), Server(), Server(), Server())
    system = Balanced(servers=servers, service=0.001, resilience=(OutlierEjection(errors=5, duration=2.0),))
    run = under_load(system, 100.0, 1000).run()
    assert run.node("s0").received < 60
    whats = [event for _, _, event, _ in run.cluster.recorder.events]
    assert whats.count("ejected") >= 2
    assert whats.count("returned") >= 1


def test_no_more_than_the_cap_are_ejected(under_load: Load) -> None:
    # LB7: a common cause must not empty the pool.
    system = Balanced(
        servers=(Server(errors=1.0),) * 4, resilience=(OutlierEjection(errors=2, duration=60.0, cap=0.5),)
    )
    run = under_load(system, 50.0, 200).run(until=10.0)
    assert sum(backend.ejected for backend in run.node("b0").dispatcher.pool.members) == 2
    assert "rejected" not in run.source.status.values()


def unhealthy_path(under_load: Load, panic: float) -> Any:
    """Three of four servers don't answer health checks, though they serve (partial partition of the checks)."""
    checks = HealthChecks(interval=0.1, timeout=0.05, fall=2, rise=2, panic=panic)
    system = Balanced(servers=4, service=Exponential(0.01), resilience=(checks, Timeout(total=5.0)))
    run = under_load(system, 250.0, 1500, delta=0.001)
    network = run.cluster.network

    def lose_checks(src: str, dst: str, message: Any) -> bool:
        return type(message).__name__ == "CheckHealth" and dst != "s0"

    network.hold(lose_checks)
    return run.run(until=8.0)


def test_when_nearly_all_fail_their_checks_health_is_ignored(under_load: Load) -> None:
    run = unhealthy_path(under_load, panic=0.5)
    received = [run.node(f"s{i}").received for i in range(4)]
    assert min(received) > 250
    assert list(run.source.status.values()).count("ok") == 1500


def test_the_mutant_without_panic_sends_everything_to_the_one_that_is_left(under_load: Load) -> None:
    # LB7: without a panic threshold the server that is left is crushed.
    run = unhealthy_path(under_load, panic=0.0)
    assert run.node("s0").received > 3 * run.node("s1").received
    assert list(run.source.status.values()).count("ok") < 1500


def test_a_crashed_server_is_taken_out_by_health_checks_and_put_back(under_load: Load) -> None:
    checks = HealthChecks(interval=0.1, timeout=0.05, fall=2, rise=2)
    system = Balanced(servers=4, service=0.001, resilience=(checks, Timeout(total=0.5)))
    run = under_load(system, 200.0, 1200, delta=0.001)
    run.cluster.env.call_at(1.0, lambda _: run.cluster.crash("s2"))
    run.cluster.env.call_at(4.0, lambda _: run.cluster.restart("s2"))
    run.run(until=8.0)
    events = [(event, detail) for _, _, event, detail in run.cluster.recorder.events]
    assert ("unhealthy", {"server": "s2"}) in events
    assert ("healthy", {"server": "s2"}) in events
    lost = list(run.source.status.values()).count("expired")
    assert 0 < lost < 30  # only until it was noticed, of about 150 that it would have had


def test_a_server_that_joins_starts_slowly(under_load: Load) -> None:
    shares = {}
    for slow in ((), (SlowStart(10.0),)):
        servers = (Server(), Server(), Server(spare=True))
        system = Balanced(servers=servers, policy=LeastConnections(), service=0.0001, resilience=slow)
        run = under_load(system, 300.0, 1800)
        run.cluster.env.call_at(
            0.5, lambda _, run=run: run.node("b0").dispatcher.on_join("source", Join("s2"))
        )
        run.run(until=2.5)
        before = run.node("s2").received
        shares[bool(slow)] = before / 600
    assert shares[False] == pytest.approx(1 / 3, abs=0.05)
    assert shares[True] == pytest.approx(1 / 3 / 10, abs=0.03)


def test_panic_is_a_property_of_the_pool() -> None:
    from sim.kernel import Streams
    from sim.protocols.balancing import Backend

    pool = Pool(Streams(0)["x"], lambda: 0.0, panic=0.5)
    pool.set_members(Backend(f"s{i}", i) for i in range(4))
    for backend in pool.members[:2]:
        backend.healthy = False
    pool.refresh()
    assert (len(pool.available), pool.panicking) == (2, False)
    pool.members[2].ejected = True
    pool.refresh()
    assert (len(pool.available), pool.panicking) == (4, True)


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: Timeout(attempt=2.0, total=1.0), "2.0"),
        (lambda: Retries(backoff=2.0, backoff_max=1.0), "1.0"),
        (lambda: Retries(on=("boredom",)), "boredom"),  # type: ignore[arg-type]
        (lambda: Balanced(resilience=(Hedge(after=1.0), Timeout(total=0.5))), "1.0 s"),
        (lambda: Balanced(resilience=(Timeout(attempt=0.2), Hedge(after=0.2))), "0.2 s"),
        (lambda: Balanced(resilience=(Hedge(after=1.0), Tied())), "Tied"),
        (lambda: Balanced(resilience=(Tied(),)), "workers"),
        (lambda: Balanced(resilience=(Timeout(total=1.0), Timeout(total=2.0))), "total=2.0"),
        (lambda: Balanced(resilience=("retry",)), "retry"),  # type: ignore[arg-type]
        (lambda: Balanced(resilience=(RetryBudget(),)), "RetryBudget"),
        (lambda: HealthChecks(timeout=2.0), "2.0"),
        (lambda: Codel(target=0.2, interval=0.1), "0.2"),
        (lambda: Server(codel=Codel()), "workers"),
        (lambda: Balanced(servers=(Server(spare=True),)), "spares"),
        (lambda: Balanced(priorities=("scan",)), "scan"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(make: Callable[[], Any], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()
