"""Policies that look at load: what theory and publications say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sim.kernel import Streams
from sim.protocols.balancing import (
    Backend,
    Balanced,
    Exponential,
    JoinIdleQueue,
    JoinShortestQueue,
    LeastConnections,
    PeakEwma,
    Policy,
    Pool,
    PowerOfChoices,
    Prequal,
    Random,
    RoundRobin,
    Server,
)
from sim.protocols.balancing.balancer import ResilientBalancerNode
from sim.protocols.balancing.messages import Busy, Idle
from sim.testing import Bench
from sim.validation.published.supermarket import PRINTED
from sim.zoo.balancing import LikesQuickErrors
from tests.budget import mostly_nightly

Load = Callable[..., Any]
OffBy = Callable[[Sequence[float], float], float]

PUBLISHED = {**PRINTED, (3, 0.7): 1.3634, (3, 0.8): 1.594}
"""Mitzenmacher, IEEE TPDS 12(10) 2001, table 1, n = 100, simulation: also the rows that `sim validate` leaves out."""
REQUESTS = {0.5: (100_000,), 0.7: (100_000,), 0.8: (100_000,), 0.9: (150_000,) * 4, 0.95: (150_000,) * 2}


def pool_of(policy: Policy, weights: Sequence[float] = (1, 1, 1, 1), seed: int = 0) -> Pool:
    pool = Pool(Streams(seed)["test"], lambda: 0.0)
    pool.set_members(Backend(f"s{i}", i, weight) for i, weight in enumerate(weights))
    pool.state = policy.start(pool)
    return pool


def predicted(rate: float, d: int) -> float:
    """The mean time of the model with infinitely many servers (Mitzenmacher 2001)."""
    return sum(rate ** ((d**i - d) / (d - 1)) for i in range(1, 30))


def supermarket(
    under_load: Load, policy: Policy, rate: float, count: int, seed: int
) -> tuple[float, float, float]:
    """A hundred servers at ``rate`` each: mean time in system without the first fifth, work per server and
    second, work per request."""
    system = Balanced(servers=100, policy=policy, service=Exponential(1.0), where="client")
    run = under_load(system, 100 * rate, count, seed=seed).run()
    latencies = run.latencies(skip=count // 5)
    work = sum(run.node(f"s{i}").work_done for i in range(100))
    return sum(latencies) / len(latencies), work / (100 * run.source.started[-1]), work / count


QUICK = ((2, 0.5),)  # few requests do


@pytest.mark.parametrize(("d", "rate"), mostly_nightly(PUBLISHED, QUICK.__contains__))
def test_the_supermarket_model_comes_out_as_published(under_load: Load, d: int, rate: float) -> None:
    # The work that came by chance, per second and per request, serves as control variates: their means are known.
    slope = (predicted(rate + 1e-4, d) - predicted(rate - 1e-4, d)) / 2e-4
    times = []
    for seed, count in enumerate(REQUESTS[rate]):
        mean, work, each = supermarket(under_load, PowerOfChoices(d=d), rate, count, seed)
        times.append(mean - slope * (work - rate) - (each - 1.0))
    assert sum(times) / len(times) == pytest.approx(PUBLISHED[d, rate], rel=0.02 if rate == 0.95 else 0.01)


@pytest.mark.parametrize("rate", mostly_nightly([0.5, 0.8], lambda rate: rate < 0.8))
def test_one_choice_is_a_hundred_queues_of_their_own(under_load: Load, off_by: OffBy, rate: float) -> None:
    means = [supermarket(under_load, PowerOfChoices(d=1), rate, 10_000, seed)[0] for seed in range(6)]
    assert off_by(means, 1 / (1 - rate)) < 3


def test_the_choices_are_distinct() -> None:
    policy = PowerOfChoices(d=2)
    pool = pool_of(policy, (1, 1))
    pool.members[0].in_flight = 5
    assert {policy.pick(pool, pool.available, "").name for _ in range(100)} == {"s1"}


@pytest.mark.parametrize("d", [2, 3, 4])
def test_every_combination_of_choices_is_equally_likely(d: int) -> None:
    policy = PowerOfChoices(d=d)
    pool = pool_of(policy)
    for load, backend in enumerate(pool.members):
        backend.in_flight = load  # so that the pick is the lowest index drawn
    count = 24_000
    picked = Counter(policy.pick(pool, pool.available, "").index for _ in range(count))
    combinations = {2: [3, 2, 1, 0], 3: [3, 1, 0, 0], 4: [1, 0, 0, 0]}[d]
    total = sum(combinations)
    for i, ways in enumerate(combinations):
        p = ways / total
        assert abs(picked[i] - count * p) <= 4 * (count * p * (1 - p)) ** 0.5


def test_least_connections_counts_its_own_requests_by_weight() -> None:
    plain, weighted = LeastConnections(), LeastConnections(weighted=True)
    pool = pool_of(plain, (1, 4))
    pool.members[0].in_flight, pool.members[1].in_flight = 1, 2
    assert plain.pick(pool, pool.available, "").name == "s0"
    assert weighted.pick(pool, pool.available, "").name == "s1"  # 3/4 against 2/1


def test_ties_are_broken_evenly() -> None:
    policy = LeastConnections()
    pool = pool_of(policy)
    picked = Counter(policy.pick(pool, pool.available, "").index for _ in range(8000))
    assert all(abs(picked[i] - 2000) < 4 * (8000 * 0.25 * 0.75) ** 0.5 for i in range(4))


def test_shared_load_is_ones_own_and_what_the_others_gossiped() -> None:
    policy = PowerOfChoices(d=2, by="shared")
    pool = pool_of(policy, (1, 1))
    first, second = pool.members
    first.in_flight, first.others, second.in_flight, second.others = 0, 3, 2, 0
    assert policy.pick(pool, pool.available, "").name == "s1"


def test_gossip_tells_balancers_what_the_others_have_in_flight(under_load: Load) -> None:
    system = Balanced(servers=2, balancers=2, policy=JoinShortestQueue(by="shared"), service=10.0, gossip=0.1)
    run = under_load(system, 100.0, 20).run(until=3.0)
    first, second = (run.node(f"b{i}").dispatcher.pool.members for i in range(2))
    assert [b.others for b in first] == [b.in_flight for b in second] != [0, 0]
    assert [b.others for b in second] == [b.in_flight for b in first] != [0, 0]


@pytest.mark.parametrize("policy", [JoinShortestQueue(by="probe"), PowerOfChoices(d=2, by="probe")], ids=repr)
def test_probing_costs_a_round_trip_more(under_load: Load, policy: Policy) -> None:
    run = under_load(Balanced(servers=4, policy=policy, service=1e-9), 20.0, 30, delta=0.01).run()
    assert run.latencies() == pytest.approx([0.06] * 30, abs=1e-6)
    probed = sum(
        link.messages
        for (src, dst), link in run.cluster.network.links.items()
        if src == "b0" and dst != "source"
    )
    assert probed == 30 * ((4 if isinstance(policy, JoinShortestQueue) else 2) + 1)


def test_with_probes_the_shortest_queue_is_found_whichever_balancer_filled_it(under_load: Load) -> None:
    system = Balanced(servers=4, balancers=4, policy=JoinShortestQueue(by="probe"), service=100.0)
    run = under_load(system, 10.0, 80).run(until=50.0)
    assert [run.node(f"s{i}").requests for i in range(4)] == [20] * 4


def test_an_idle_server_tells_one_balancer_and_is_picked_first(under_load: Load) -> None:
    system = Balanced(servers=5, balancers=2, policy=JoinIdleQueue(), service=Exponential(0.01))
    run = under_load(system, 250.0, 2000).run()
    told = sum(
        link.messages
        for (src, dst), link in run.cluster.network.links.items()
        if src.startswith("s") and src != "source" and dst.startswith("b")
    )
    answers = 2000
    assert 5 < told - answers <= 5 + 2000  # at boot, and at most once per request served
    policy = JoinIdleQueue()
    pool = pool_of(policy)
    pool.members[2].notice = 1
    policy.idle(pool, pool.members[2])
    assert policy.pick(pool, pool.available, "").name == "s2"
    assert not pool.state


def test_join_idle_queue_beats_random_at_half_load(under_load: Load) -> None:
    means = {}
    for policy in (Random(), JoinIdleQueue()):
        run = under_load(Balanced(servers=50, policy=policy, service=Exponential(1.0)), 25.0, 10_000).run()
        means[type(policy)] = sum(run.latencies()) / 10_000
    assert means[JoinIdleQueue] < 1.1 < 1.8 < means[Random]


def test_stale_reports_make_the_shortest_queue_a_herd_while_two_choices_survive(under_load: Load) -> None:
    # LB1; Mitzenmacher, "How Useful Is Old Information?", IEEE TPDS 2000.
    largest, mean = {}, {}
    for policy in (JoinShortestQueue(), PowerOfChoices(d=2, by="reported"), Random()):
        system = Balanced(servers=16, balancers=4, policy=policy, service=Exponential(1.0), poll=20.0)
        run = under_load(system, 14.0, 6000, seed=1)
        run.run(until=430.0)
        largest[type(policy)] = max(run.cluster.hosts[f"s{i}"].cpu.backlog_max for i in range(16))
        mean[type(policy)] = sum(run.source.latency.values()) / len(run.source.latency)
    assert largest[JoinShortestQueue] > 3 * largest[PowerOfChoices]
    assert mean[JoinShortestQueue] > 2 * mean[PowerOfChoices]


def share_of_a_server_that_fails_fast(under_load: Load, policy: Policy) -> float:
    servers = (Server(errors=1.0, error_time=0.001), *(Server() for _ in range(4)))
    run = under_load(Balanced(servers=servers, policy=policy, service=Exponential(0.05)), 40.0, 3000).run()
    return run.node("s0").received / 3000


def test_a_server_that_fails_fast_does_not_attract_peak_ewma(under_load: Load) -> None:
    # LB5: errors are answered in 1 ms, which must not count as a low latency.
    assert share_of_a_server_that_fails_fast(under_load, PeakEwma()) < 1 / 5


def test_the_mutant_that_counts_errors_as_answers_is_a_sinkhole(under_load: Load) -> None:
    assert share_of_a_server_that_fails_fast(under_load, LikesQuickErrors()) > 0.3


def test_peak_ewma_jumps_to_a_peak_and_forgets_it() -> None:
    now = 0.0
    policy = PeakEwma(decay=10.0)
    pool = Pool(Streams(0)["test"], lambda: now)
    pool.set_members([Backend("s0", 0)])
    pool.state = policy.start(pool)
    backend = pool.members[0]
    policy.answered(pool, backend, 0.1, True)
    policy.answered(pool, backend, 2.0, True)
    assert policy.cost(pool, backend) == pytest.approx(2.0)
    now = 10.0
    assert policy.cost(pool, backend) == pytest.approx(2.0 / 2.718281828, rel=1e-6)
    backend.in_flight = 3
    assert policy.cost(pool, backend) == pytest.approx(4 * 2.0 / 2.718281828, rel=1e-6)


# Prequal


def prequal_pool(reports: Sequence[tuple[int, int, float]], policy: Prequal, servers: int = 100) -> Pool:
    pool = pool_of(policy, (1,) * servers)
    for index, requests, latency in reports:
        policy.probed(pool, pool.members[index], requests, latency)
    return pool


def test_prequal_takes_the_cold_server_with_the_least_latency() -> None:
    policy = Prequal(hot_quantile=0.5)
    pool = prequal_pool([(0, 1, 0.30), (1, 2, 0.10), (2, 9, 0.01), (3, 8, 0.02)], policy)
    assert pool.state.threshold == 8  # the median, the upper of two: so only the one with 9 is hot
    assert policy.pick(pool, pool.available, "").index == 3


def test_prequal_takes_the_fewest_requests_when_all_are_hot() -> None:
    policy = Prequal()
    pool = prequal_pool([(0, 7, 0.1), (1, 5, 0.9), (2, 6, 0.2)], policy)
    pool.state.threshold = 0
    assert policy.pick(pool, pool.available, "").index == 1


def test_prequal_forgets_old_responses_and_picks_at_random_without_them() -> None:
    now = 0.0
    policy = Prequal(age=1.0)
    pool = Pool(Streams(0)["test"], lambda: now)
    pool.set_members(Backend(f"s{i}", i) for i in range(4))
    pool.state = policy.start(pool)
    for backend in pool.members[:2]:
        policy.probed(pool, backend, 0, 0.1)
    now = 1.5
    assert {policy.pick(pool, pool.available, "").index for _ in range(200)} == {0, 1, 2, 3}


def test_prequal_keeps_at_most_its_pool_and_probes_as_often_as_it_says(under_load: Load) -> None:
    system = Balanced(servers=20, policy=Prequal(probes_per_request=1.5), service=Exponential(0.01))
    run = under_load(system, 1500.0, 2000).run()
    sent = sum(link.messages for (src, _), link in run.cluster.network.links.items() if src == "b0")
    assert sent == 2000 * 2 + 3000  # forwarded, answered, probed
    assert len(run.node("b0").dispatcher.pool.state.responses) <= 16


def test_prequal_avoids_a_slow_server_that_round_robin_does_not(under_load: Load) -> None:
    shares = {}
    for policy in (Prequal(), RoundRobin()):
        servers = (Server(service=Exponential(0.2)), *(Server() for _ in range(19)))
        system = Balanced(servers=servers, policy=policy, service=Exponential(0.02))
        run = under_load(system, 600.0, 6000).run()
        shares[type(policy)] = run.node("s0").received / 6000
    assert shares[RoundRobin] == pytest.approx(1 / 20)
    assert shares[Prequal] < 0.5 / 20


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: Balanced(servers=3, policy=PowerOfChoices(d=4)), "d=4"),
        (lambda: Balanced(policy=JoinShortestQueue(by="shared")), "gossip"),
        (lambda: Balanced(policy=JoinIdleQueue(), where="client"), "JoinIdleQueue"),
        (lambda: Balanced(gossip=1.0), "1.0"),
        (lambda: Prequal(removals_per_request=3.0), "3.0"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(make: Callable[[], Any], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()


def test_at_most_one_idle_queue_holds_a_server_and_only_while_it_is_idle(under_load: Load) -> None:
    """Lu et al. 2011 assume one copy of each idle server in the queues; stale copies cost latency."""
    system = Balanced(servers=20, balancers=8, policy=JoinIdleQueue(), service=Exponential(1.0))
    run = under_load(system, 10.0, 2000)
    for moment in range(10, 150):
        run.cluster.env.run(until=moment)
        queues = [backend.name for i in range(8) for backend in run.node(f"b{i}").dispatcher.pool.state]
        assert len(queues) == len(set(queues))
        assert all(run.node(name).requests == 0 for name in queues)
        # Nothing is on its way on a network without delay, so every idle server is in a queue, too.
        assert len(queues) == sum(run.node(f"s{i}").requests == 0 for i in range(20))


def test_word_that_a_server_is_busy_counts_even_when_it_overtakes_the_word_that_it_was_idle() -> None:
    system = Balanced(servers=2, policy=JoinIdleQueue())
    bench = Bench(ResilientBalancerNode, name="b0", settings=system, members=("b0",))
    pool = bench.node.dispatcher.pool
    bench.deliver("s0", Busy(5))
    bench.deliver("s0", Idle(5))
    assert not pool.state
    bench.deliver("s0", Idle(6))
    assert [backend.name for backend in pool.state] == ["s0"]
    bench.deliver("s0", Busy(5))  # an old one
    assert [backend.name for backend in pool.state] == ["s0"]


@pytest.mark.nightly
def test_join_idle_queue_among_forty_balancers_waits_as_one_copy_of_each_idle_server_says(
    under_load: Load, off_by: OffBy
) -> None:
    """400 servers, 40 balancers, load 0.5: a plain Monte Carlo of queues that hold each idle server once has a mean of
    1.069 service times (two runs of 200,000 requests: 1.0682, 1.0713); with stale copies in the queues it is 1.155."""
    means = []
    for seed in range(4):
        system = Balanced(servers=400, balancers=40, policy=JoinIdleQueue(), service=Exponential(1.0))
        run = under_load(system, 200.0, 40_000, seed=seed).run()
        latencies = run.latencies(skip=10_000)
        means.append(sum(latencies) / len(latencies))
    assert off_by(means, 1.069) < 4
    assert all(mean < 1.1 for mean in means)
