"""The state behind the resilience values, told the time by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.protocols.balancing import CircuitBreaker, RetryBudget
from sim.protocols.balancing.guards import Breaker, Budget, CodelQueue, QueueTimeout, TokenBucket, Window
from sim.zoo.balancing import OpenHouse


@given(
    st.floats(0.1, 50),
    st.floats(1, 20),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_a_token_bucket_never_lets_more_through_than_rate_and_burst(
    rate: float, burst: float, gaps: Sequence[float]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        passed += bucket.take(now)
        assert passed <= burst + rate * now + 1e-6


def test_a_token_bucket_fills_up_to_its_burst_and_no_further() -> None:
    bucket = TokenBucket(1.0, 3.0, 0.0)
    assert [bucket.take(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert bucket.take(101.0)


@given(st.lists(st.booleans(), max_size=300), st.floats(0, 1), st.integers(1, 20))
def test_retries_stay_within_their_budget(steps: Sequence[bool], ratio: float, burst: int) -> None:
    budget = Budget(RetryBudget(ratio, burst))
    requests = retries = 0
    for is_request in steps:
        if is_request:
            budget.request()
            requests += 1
        else:
            retries += budget.retry()
        assert retries <= ratio * requests + burst + 1e-9


def test_a_breaker_opens_after_failures_in_a_row_and_tries_again_later() -> None:
    breaker = Breaker(CircuitBreaker(failures=3, open_for=5.0, trials=1, successes=2))
    for ok in (False, False, True, False, False):
        breaker.settled(breaker.sent(), ok, 0.0)
    assert breaker.allows(0.0)  # a success in between: not three in a row
    breaker.settled(breaker.sent(), False, 1.0)
    assert not breaker.allows(1.0)
    assert not breaker.allows(5.9)
    assert breaker.allows(6.0)
    first = breaker.sent()
    assert not breaker.allows(6.0)  # one trial at a time
    breaker.settled(first, True, 6.1)
    assert breaker.state == "half-open"
    breaker.settled(breaker.sent(), True, 6.2)
    assert breaker.state == "closed"


def test_a_failed_trial_opens_the_breaker_again() -> None:
    breaker = Breaker(CircuitBreaker(failures=1, open_for=5.0))
    breaker.settled(breaker.sent(), False, 0.0)
    assert breaker.allows(5.0)
    breaker.settled(breaker.sent(), False, 5.5)
    assert not breaker.allows(10.4)
    assert breaker.allows(10.5)


def test_answers_to_requests_from_before_say_nothing_about_a_trial() -> None:
    breaker = Breaker(CircuitBreaker(failures=1, open_for=1.0))
    old = [breaker.sent() for _ in range(3)]
    breaker.settled(old[0], False, 0.0)
    assert breaker.allows(1.0)
    trial = breaker.sent()
    breaker.settled(old[1], True, 1.1)
    assert (breaker.state, breaker.trying) == ("half-open", 1)
    breaker.settled(trial, True, 1.2)
    assert (breaker.state, breaker.trying) == ("closed", 0)


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from(["send", "ok", "fail", "cancel", "wait"]), st.integers(0, 9)), max_size=150
    ),
)
def test_no_more_than_the_trials_are_in_flight_while_half_open(
    trials: int, steps: Sequence[tuple[str, int]]
) -> None:
    breaker = Breaker(CircuitBreaker(failures=2, open_for=1.0, trials=trials, successes=2))
    now = 0.0
    marks: list[int] = []
    for step, which in steps:
        if step == "wait":
            now += 0.4
        elif step == "send":
            if breaker.allows(now):
                assert breaker.state != "open"
                marks.append(breaker.sent())
        elif marks:
            mark = marks.pop(which % len(marks))
            breaker.settled(mark, {"ok": True, "fail": False, "cancel": None}[step], now)
        assert 0 <= breaker.trying <= trials or breaker.state != "half-open"
        assert breaker.trying >= 0


def test_the_mutant_that_admits_everyone_breaks_it() -> None:
    breaker = OpenHouse(CircuitBreaker(failures=1, open_for=1.0, trials=1))
    breaker.settled(breaker.sent(), False, 0.0)
    for _ in range(3):
        assert breaker.allows(1.0)
        breaker.sent()
    assert breaker.trying > breaker.value.trials


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300), st.floats(0.01, 0.99), st.integers(1, 50))
def test_a_latency_window_gives_the_quantile_of_the_last_ones(
    seconds: Sequence[float], q: float, size: int
) -> None:
    window = Window(size)
    for s in seconds:
        window.add(s)
    last = sorted(seconds[-size:])
    assert len(window) == len(last)
    assert window.quantile(q) == last[min(len(last) - 1, int(q * len(last)))]


def test_controlled_delay_leaves_a_short_burst_alone() -> None:
    queue = CodelQueue(target=0.005, interval=0.1)
    assert not any(queue.drops(0.050, 10, now / 1000) for now in range(99))


def test_controlled_delay_drops_ever_faster_while_the_queue_stays_slow() -> None:
    # Nichols & Jacobson 2012: the n-th drop comes interval / sqrt(n) after the one before.
    queue = CodelQueue(target=0.005, interval=0.1)
    drops = [t / 1000 for t in range(2000) if queue.drops(0.050, 10, t / 1000)]
    assert drops[0] == pytest.approx(0.1)
    gaps = [b - a for a, b in pairwise(drops)]
    expected = [0.1 / n**0.5 for n in range(1, len(gaps) + 1)]
    assert gaps[:8] == pytest.approx(expected[:8], abs=0.0021)
    assert not queue.drops(0.001, 10, 2.0)  # the queue is fast again
    assert not queue.dropping


def test_the_timeout_of_a_queue_is_short_only_while_it_does_not_get_empty() -> None:
    queue = QueueTimeout(target=0.005, interval=0.1)
    assert not queue.drops(0.050, 0, 1.0)  # it came to an empty queue at 0.95, and leaves it empty
    assert not queue.drops(0.020, 3, 1.05)  # empty until 1.03
    assert queue.drops(0.150, 3, 1.06)  # more than an interval is too long at any time
    assert queue.drops(0.050, 3, 1.2)  # not empty for more than an interval
    assert not queue.drops(0.004, 3, 1.2)
    assert queue.drops(0.050, 0, 1.3)
    assert not queue.drops(0.050, 3, 1.4)  # empty until 1.35


def test_controlled_delay_never_empties_the_queue() -> None:
    queue = CodelQueue(target=0.005, interval=0.1)
    assert not any(queue.drops(0.050, 0, t / 1000) for t in range(500))
