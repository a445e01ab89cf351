"""Both event lists side by side: programmes drawn at random leave the same log, on `Environment`s made of each."""

from __future__ import annotations

from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy.core import Infinity

from tests.budget import examples
from tests.engine.engines import environment_class, needs_both, timer_class

pytestmark = needs_both

TIMES = st.one_of(
    st.integers(0, 6),
    st.sampled_from([0.0, 0.5, 1.0, 2.5, 1e-9, 3.0000000000000004]),
    st.fractions(0, 4, max_denominator=3),
)
ACTIONS = st.one_of(
    st.tuples(st.just("call after"), TIMES),
    st.tuples(st.just("call at"), TIMES),
    st.tuples(st.just("timeout"), TIMES),
    st.tuples(st.just("sleep"), TIMES),
    st.tuples(st.just("arm"), TIMES),
    st.tuples(st.just("arm other"), TIMES),
    st.tuples(st.just("cancel"), st.just(0)),
    st.tuples(st.just("event"), st.integers(-3, 3)),
    st.tuples(st.just("interrupt"), st.integers(0, 3)),
    st.tuples(st.just("fail"), st.integers(0, 1)),
    st.tuples(st.just("look"), st.just(0)),
)
PROGRAMMES = st.lists(st.lists(ACTIONS, max_size=8), min_size=1, max_size=4)
STARTS = st.sampled_from([0, 0.0, Fraction(0), 2**53 - 2, 2**60, 5])
Programme = list[list[tuple[str, Any]]]


class Player:
    """Plays a programme, each list of actions in a process, and logs what happens with the types of times."""

    def __init__(self, env: Any, timer: Any, programme: Programme) -> None:
        self.env = env
        self.log: list[Any] = []
        self.timers = [timer(env, self.happen, f"timer {i}") for i in range(2)]
        self.processes = [env.process(self.work(i, actions)) for i, actions in enumerate(programme)]

    def happen(self, what: Any) -> None:
        self.log.append((what, repr(self.env.now)))

    def look(self) -> None:
        entries = sorted(self.env._queue, key=lambda entry: entry[:3])
        self.log.append(
            [self.env.peek(), self.env.scheduled, *((*map(repr, e[:3]), len(e)) for e in entries)]
        )

    def work(self, number: int, actions: list[tuple[str, Any]]) -> Generator[simpy.Event, Any, None]:
        for action, value in actions:
            try:
                yield from self.act(number, action, value)
            except (simpy.Interrupt, LookupError, ValueError) as error:
                self.log.append((number, type(error).__name__, str(error), repr(self.env.now)))

    def act(self, number: int, action: str, value: Any) -> Generator[simpy.Event, Any, None]:
        env, what = self.env, (number, action, value)
        if action == "call after":
            env.call_after(value, self.happen, what)
        elif action == "call at":
            env.call_at(value, self.happen, what)  # may lie in the past
        elif action == "timeout":
            env.timeout(value).callbacks.append(lambda _: self.happen(what))
        elif action == "sleep":
            yield env.timeout(value)
            self.happen(what)
        elif action.startswith("arm"):
            self.timers[action == "arm other"].arm_at(env.now + value)
        elif action == "cancel":
            self.timers[0].cancel()
        elif action == "event":
            event = env.event()
            event._ok, event._value = True, None
            event.callbacks.append(lambda _: self.happen(what))
            env.schedule(event, value, 1)
        elif action == "interrupt":
            other = self.processes[value % len(self.processes)]
            if other.is_alive and other is not env.active_process:
                other.interrupt(what)
        elif action == "fail":
            yield env.event().fail(LookupError(what))
        else:
            self.look()


def play(compiled: bool, programme: Programme, start: Any, drive: Callable[[Any, Player], None]) -> list[Any]:
    env = environment_class(compiled)(start)
    player = Player(env, timer_class(compiled), programme)
    try:
        drive(env, player)
    except LookupError as error:  # a failure that no process waits for any more ends the run, with both
        player.log.append((type(error).__name__, str(error)))
    player.look()
    return player.log


def run(env: Any, player: Player) -> None:
    env.run(until=int(env.now) + 3)
    player.log.append(repr(env.now))
    player.look()
    env.run()


def step(env: Any, player: Player) -> None:
    while env._queue:
        env.step()
        player.look()


def wrap(env: Any, player: Player) -> None:
    plain = env.step

    def counted() -> None:
        player.log.append(repr(env.peek()))
        plain()

    env.step = counted
    env.run()


def override(env: Any, player: Player) -> None:
    """Run by a class whose step is its own."""

    class Stepped(type(env)):  # type: ignore[misc]
        def step(self) -> None:
            player.log.append("step")
            super().step()

    env.__class__ = Stepped
    env.run()


@pytest.mark.parametrize("drive", [run, step, wrap, override])
@examples(40, 3000)
def test_programmes_leave_the_same_log(examples: int, drive: Callable[[Any, Player], None]) -> None:
    @settings(max_examples=examples)
    @given(programme=PROGRAMMES, start=STARTS)
    def check(programme: Programme, start: Any) -> None:
        assert play(True, programme, start, drive) == play(False, programme, start, drive)

    check()


@settings(max_examples=60)
@given(
    times=st.lists(st.one_of(st.floats(0, 1e6), st.integers(0, 2**55), st.fractions(0, 100)), max_size=60),
    priorities=st.lists(st.integers(-16384, 16383), min_size=1),
)
def test_entries_come_up_in_the_order_of_time_priority_and_number(
    times: list[Any], priorities: list[int]
) -> None:
    """As a sorted list says; with times of all types, and more entries than there is room for at first."""
    for compiled in (False, True):
        env = environment_class(compiled)()
        seen: list[Any] = []
        expected = []

        def note(event: Any, env: Any = env, seen: list[Any] = seen) -> None:
            seen.append((repr(env.now), event.value))

        for number, time in enumerate(times * 2):
            event = env.event()
            event._ok, event._value = True, number
            event.callbacks.append(note)
            priority = priorities[number % len(priorities)]
            env.push((time, priority, env.serial(), event))
            expected.append((time, priority, number))
        env.run()
        assert seen == [(repr(time), number) for time, _, number in sorted(expected)]


@pytest.mark.parametrize("compiled", [False, True])
def test_an_empty_list_shows_the_very_infinity_of_simpy(compiled: bool) -> None:
    """Its real-time environment asks with ``is`` whether anything is left."""
    assert environment_class(compiled)().peek() is Infinity
