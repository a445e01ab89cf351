"""A timer fires once, at its last deadline, and costs one heap entry however often it is moved on."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.kernel import Environment, Timer


@pytest.fixture
def env() -> Environment:
    return Environment()


def test_it_fires_once_at_its_deadline_with_its_argument(env: Environment) -> None:
    fired = []
    timer = Timer(env, lambda argument: fired.append((env.now, argument)), "argument")
    assert timer.deadline is None
    timer.arm_at(3)
    assert timer.deadline == 3
    env.run()
    assert fired == [(3, "argument")]
    assert timer.deadline is None


def test_a_thousand_rearms_to_later_deadlines_keep_one_heap_entry(env: Environment) -> None:
    fired = []
    timer = Timer(env, lambda _: fired.append(env.now))
    for i in range(1000):
        timer.arm_at(1 + i * 0.01)
    assert len(env._queue) == 1
    env.run()
    assert fired == [pytest.approx(10.99)]


def test_an_election_timer_that_every_heartbeat_moves_on_never_has_a_second_entry(env: Environment) -> None:
    fired = []
    timer = Timer(env, lambda _: fired.append(env.now))
    entries = []

    def heartbeat(n: int) -> None:
        timer.arm_at(env.now + 1.0)
        entries.append(len(env._queue))
        if n:
            env.call_after(0.05, heartbeat, n - 1)

    heartbeat(1000)
    env.run()
    assert set(entries) == {1}  # the heartbeat that is being handled has left the heap
    assert fired == [pytest.approx(51.0)]


def test_an_earlier_deadline_wins_and_the_overtaken_entry_does_nothing(env: Environment) -> None:
    fired = []
    timer = Timer(env, lambda _: fired.append(env.now))
    timer.arm_at(10)
    timer.arm_at(4)
    env.run()
    assert fired == [4]
    assert env.now == 10  # the overtaken entry was still there


def test_an_overtaken_entry_adds_none_when_the_timer_is_armed_again(env: Environment) -> None:
    fired = []
    timer = Timer(env, lambda _: fired.append(env.now))
    timer.arm_at(10)
    timer.arm_at(4)
    env.run(until=5)
    timer.arm_at(20)
    env.run(until=15)
    assert len(env._queue) == 1
    env.run()
    assert fired == [4, 20]


def test_a_cancelled_timer_does_not_fire_and_may_be_armed_again(env: Environment) -> None:
    fired = []
    timer = Timer(env, lambda _: fired.append(env.now))
    timer.cancel()
    timer.arm_at(2)
    timer.cancel()
    assert timer.deadline is None
    env.run(until=3)
    assert fired == []
    timer.arm_at(5)
    timer.cancel()
    timer.arm_at(6)
    assert len(env._queue) == 1
    env.run()
    assert fired == [6]


def test_a_timer_may_rearm_itself_when_it_fires(env: Environment) -> None:
    fired = []

    def tick(_: object) -> None:
        fired.append(env.now)
        if len(fired) < 4:
            timer.arm_at(env.now + 2)
            assert len(env._queue) == 1

    timer = Timer(env, tick)
    timer.arm_at(1)
    env.run()
    assert fired == [1, 3, 5, 7]


def test_a_timer_may_fire_now(env: Environment) -> None:
    fired = []
    env.run(until=5)
    Timer(env, fired.append, "now").arm_at(5)
    env.run()
    assert fired == ["now"]


@pytest.mark.parametrize("deadline", [0.5, -1, nan, inf])
def test_a_deadline_in_the_past_or_never_is_refused_and_changes_nothing(
    env: Environment, deadline: float
) -> None:
    fired = []
    timer = Timer(env, lambda _: fired.append(env.now))
    timer.arm_at(2)
    env.run(until=1)
    with pytest.raises(ValueError, match=f"{deadline!r} s"):
        timer.arm_at(deadline)
    env.run()
    assert fired == [2]


@settings(max_examples=80)
@given(
    commands=st.lists(
        st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 10))),
        min_size=1,
        max_size=20,
        unique_by=lambda command: command[0],
    )
)
def test_it_fires_exactly_when_a_naive_timer_would(commands: list[tuple[int, int | None]]) -> None:
    """Commands are (time, delay or None to cancel); the naive timer looks through them by hand."""
    commands = sorted(commands, key=lambda command: command[0])
    env = Environment()
    fired: list[float] = []
    timer = Timer(env, lambda _: fired.append(env.now))

    def command(delay: int | None) -> None:
        if delay is None:
            timer.cancel()
        else:
            timer.arm_at(env.now + delay + 0.5)  # never at the time of a command

    for time, delay in commands:
        env.call_at(time, command, delay)
    env.run()

    expected = []
    for (time, delay), following in zip(commands, [*(time for time, _ in commands[1:]), inf], strict=True):
        if delay is not None and time + delay + 0.5 < following:
            expected.append(time + delay + 0.5)
    assert fired == expected
