"""Random and round-robin policies: who is picked, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.kernel import Streams
from sim.protocols.balancing import (
    Backend,
    Policy,
    Pool,
    Random,
    RoundRobin,
    SmoothWeightedRoundRobin,
    WeightedRandom,
)

Load = Callable[..., Any]


def make_pool(policy: Policy, weights: list[float], seed: int = 0) -> Pool:
    pool = Pool(Streams(seed)["test"], lambda: 0.0)
    pool.set_members(Backend(f"s{i}", i, weight) for i, weight in enumerate(weights))
    pool.state = policy.start(pool)
    return pool


def picks(policy: Policy, weights: list[float], count: int) -> list[str]:
    pool = make_pool(policy, weights)
    return [policy.pick(pool, pool.available, "key").name for _ in range(count)]


def test_round_robin_takes_turns() -> None:
    assert picks(RoundRobin(random_start=False), [1, 1, 1], 7) == ["s0", "s1", "s2", "s0", "s1", "s2", "s0"]


def test_smooth_weighted_round_robin_spreads_as_nginx_says() -> None:
    # nginx, commit 52327e0627f4: "{ 5, 1, 1 } ... a, a, b, a, c, a, a"
    policy = SmoothWeightedRoundRobin(random_start=False)
    assert picks(policy, [5, 1, 1], 7) == ["s0", "s0", "s1", "s0", "s2", "s0", "s0"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 5))
def test_every_window_of_smooth_weighted_round_robin_holds_exactly_its_weights_where_ever_it_begins(
    weights: list[int], windows: int
) -> None:
    policy = SmoothWeightedRoundRobin()
    pool = make_pool(policy, [float(w) for w in weights])
    at_start = dict(pool.state)
    for _ in range(windows):
        window = Counter(policy.pick(pool, pool.available, "").index for _ in range(sum(weights)))
        assert [window[i] for i in range(len(weights))] == weights
        assert pool.state == at_start


@pytest.mark.parametrize("policy", [RoundRobin(), SmoothWeightedRoundRobin()])
def test_balancers_that_start_together_begin_their_rounds_at_different_servers(policy: Policy) -> None:
    weights, balancers = [1.0, 2.0, 3.0, 4.0], 2000
    first = Counter()  # type: ignore[var-annotated]
    for seed in range(balancers):
        pool = make_pool(policy, weights, seed)
        first[policy.pick(pool, pool.available, "").index] += 1
    shares = [0.25] * 4 if isinstance(policy, RoundRobin) else [0.1, 0.2, 0.3, 0.4]
    for index, share in enumerate(shares):
        assert abs(first[index] - balancers * share) < 4 * (balancers * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("policy", [RoundRobin(), SmoothWeightedRoundRobin()])
def test_a_member_that_joins_does_not_make_a_round_begin_elsewhere(policy: Policy) -> None:
    pool = make_pool(policy, [1.0, 1.0, 1.0])
    policy.pick(pool, pool.available, "")
    before = repr(pool.state) if isinstance(pool.state, dict) else pool.state.next
    pool.set_members([*pool.members])
    pool.state = policy.start(pool)
    assert before == (repr(pool.state) if isinstance(pool.state, dict) else pool.state.next)


@pytest.mark.parametrize(("policy", "expected"), [(Random(), [1, 1, 1, 1]), (WeightedRandom(), [1, 2, 3, 4])])
def test_random_policies_pick_in_proportion(policy: Policy, expected: list[float]) -> None:
    count = 20_000
    drawn = Counter(picks(policy, [1, 2, 3, 4], count))
    total = sum(expected)
    for i, share in enumerate(expected):
        p = share / total
        assert abs(drawn[f"s{i}"] - count * p) < 4 * (count * p * (1 - p)) ** 0.5


def test_a_policy_of_ones_own_is_a_full_citizen(under_load: Load) -> None:
    from dataclasses import dataclass

    from sim.protocols.balancing import Balanced

    @dataclass(frozen=True)
    class FewestEver(Policy):
        def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
            return min(candidates, key=lambda backend: backend.picked)

    run = under_load(Balanced(servers=3, policy=FewestEver(), service=0.001), 100.0, 300).run()
    assert [run.node(f"s{i}").served for i in range(3)] == [100, 100, 100]
