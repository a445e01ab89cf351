"""`sim.kernel.Environment` behaves as `simpy.Environment`, and plain calls keep their place among events."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from math import inf, nan
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy.core import EmptySchedule

from sim.kernel import Environment, StandstillError, endings

Log = list[tuple[float, str]]
Process = Generator[simpy.Event, Any, Any]


@pytest.fixture
def env() -> Environment:
    return Environment()


# --- As SimPy: whole programs, drawn at random, leave the same log on both --------------------------------

ACTIONS = st.one_of(
    st.tuples(st.just("sleep"), st.integers(0, 5)),
    st.tuples(st.just("use"), st.integers(0, 4)),
    st.tuples(st.just("put"), st.integers(0, 9)),
    st.tuples(st.just("get"), st.integers(1, 6)),
    st.tuples(st.just("both"), st.integers(0, 4)),
    st.tuples(st.just("fork"), st.integers(0, 4)),
    st.tuples(st.just("fork and fail"), st.integers(0, 4)),
    st.tuples(st.just("interrupt"), st.integers(0, 3)),
    st.tuples(st.just("wait for"), st.integers(0, 3)),
)
PROGRAMS = st.lists(st.lists(ACTIONS, max_size=6), min_size=1, max_size=4)


def play(env: simpy.Environment, program: list[list[tuple[str, int]]], stops: list[int]) -> list[Any]:
    """Run a program: one process a list of actions, sharing a resource and a store. Returns all that was seen."""
    log: list[Any] = []
    resource = simpy.PriorityResource(env, capacity=1)
    store = simpy.Store(env, capacity=2)
    processes: list[simpy.Process] = []

    def child(name: str, delay: int, fail: bool) -> Process:
        yield env.timeout(delay)
        if fail:
            raise LookupError(name)
        return f"{name} done"

    def act(name: str, action: str, number: int) -> Process:
        if action == "sleep":
            yield env.timeout(number)
        elif action == "use":
            with resource.request(priority=number) as turn:
                yield turn | env.timeout(3)
                yield env.timeout(number)
        elif action == "put":
            yield store.put((name, number)) | env.timeout(2)
        elif action == "get":
            got = yield store.get() | env.timeout(number, "nothing")
            log.append((env.now, name, list(got.values())))
        elif action == "both":
            yield env.timeout(number) & env.timeout(1)
        elif action == "wait for" and processes[number % len(processes)] is not env.active_process:
            yield processes[number % len(processes)] | env.timeout(4)
        elif action == "interrupt":
            victim = processes[number % len(processes)]
            if victim is not env.active_process and victim.is_alive:
                victim.interrupt(name)
        elif action.startswith("fork"):
            result = yield env.process(child(name, number, action == "fork and fail"))
            log.append((env.now, name, result))

    def worker(name: str, actions: list[tuple[str, int]]) -> Process:
        for action, number in actions:
            try:
                yield from act(name, action, number)
                log.append((env.now, name, action, number))
            except simpy.Interrupt as interrupt:
                log.append((env.now, name, "interrupted by", interrupt.cause))
            except LookupError as failure:
                log.append((env.now, name, "saw", failure.args))

    for i, actions in enumerate(program):
        processes.append(env.process(worker(f"p{i}", actions)))
    for until in [*stops, processes[0], None, None]:
        if isinstance(until, int) and until <= env.now:
            continue
        try:
            log.append((env.run(until=until), env.now, processes[0].processed))
        except (LookupError, RuntimeError) as failure:  # of a child that nobody waits for; a deadlock
            log.append((env.now, type(failure), type(failure.__cause__)))
    return log


@settings(max_examples=80)
@given(program=PROGRAMS, stops=st.lists(st.integers(1, 12), max_size=3))
def test_random_programs_run_as_on_simpy(program: list[list[tuple[str, int]]], stops: list[int]) -> None:
    assert play(Environment(), program, stops) == play(simpy.Environment(), program, stops)


@settings(max_examples=50)
@given(program=PROGRAMS)
def test_stepping_is_running(program: list[list[tuple[str, int]]]) -> None:
    class Stepped(Environment):
        steps = 0

        def step(self) -> None:
            self.steps += 1
            super().step()

    stepped = Stepped()
    assert play(stepped, program, [2]) == play(Environment(), program, [2])
    assert stepped.steps > 0


# --- As SimPy: how runs end -------------------------------------------------------------------------------


def test_a_run_until_a_time_stops_before_what_happens_then_and_at_exactly_that_time(env: Environment) -> None:
    happened = []
    env.call_at(0.9, happened.append, "call at 0.9")
    env.timeout(0.9).callbacks.append(lambda _: happened.append("event at 0.9"))
    env.run(until=0.2)
    assert 0.2 + (0.9 - 0.2) != 0.9  # what SimPy computes
    env.run(until=0.9)
    assert (env.now, happened) == (0.9, [])
    env.run()
    assert happened == ["call at 0.9", "event at 0.9"]


def test_a_run_until_a_time_leaves_nothing_behind(env: Environment) -> None:
    env.run(until=5)
    assert (env.now, env.peek()) == (5, inf)
    with pytest.raises(EmptySchedule):
        env.step()


@pytest.mark.parametrize("until", [3, 2.5, -1, nan])
def test_a_run_refuses_to_end_where_it_begins_or_before(env: Environment, until: float) -> None:
    env.run(until=3)
    with pytest.raises(ValueError, match=str(until)):
        env.run(until=until)


def test_a_run_until_an_event_returns_its_value_again_and_again(env: Environment) -> None:
    event = env.timeout(2, "value")
    env.timeout(9)
    assert env.run(until=event) == "value"
    assert env.now == 2
    env.run()
    assert env.now == 9
    assert env.run(until=event) == "value"


def test_callbacks_that_a_stop_cut_off_run_first_when_the_run_goes_on(env: Environment) -> None:
    log = []
    event = env.timeout(1)
    event.callbacks.append(lambda _: log.append("before"))
    stopped = env.process(iter_until(env, event, log))
    env.run(until=0.5)
    env.call_at(1, log.append, "later entry of the same time")
    assert stopped.is_alive
    env.run(until=event)
    assert log == ["before", "in process"]
    event.callbacks.append(lambda _: log.append("late subscriber"))
    env.run()
    assert log == ["before", "in process", "late subscriber", "later entry of the same time"]


def iter_until(env: Environment, event: simpy.Event, log: list[str]) -> Process:
    yield event
    log.append("in process")


def test_only_the_callbacks_after_the_stop_are_put_back(env: Environment) -> None:
    log = []
    event = env.event()
    event.callbacks.append(lambda _: log.append("first"))

    def stop_here(_: simpy.Event) -> None:
        raise simpy.core.StopSimulation("stopped")

    event.callbacks += [stop_here, lambda _: log.append("last")]
    event.succeed()
    assert env.run() == "stopped"
    assert log == ["first"]
    env.step()
    assert log == ["first", "last"]


def test_a_plain_call_may_stop_the_run(env: Environment) -> None:
    log = []

    def stop(value: str) -> None:
        raise simpy.core.StopSimulation(value)

    env.timeout(1).callbacks.append(lambda _: log.append("event before"))
    env.call_at(2, stop, "enough")
    env.call_at(3, log.append, "after")
    assert env.run() == "enough"
    assert (env.now, log) == (2, ["event before"])
    env.run()
    assert log == ["event before", "after"]


def test_an_event_that_never_happens_is_an_error_that_names_it(env: Environment) -> None:
    with pytest.raises(RuntimeError, match=r"was not triggered: <Event\(\) object"):
        env.run(until=env.event())


def test_an_unhandled_failed_event_ends_the_run_with_a_copy_and_its_cause(env: Environment) -> None:
    failure = KeyError("lost")
    env.event().fail(failure)
    with pytest.raises(KeyError, match="lost") as raised:
        env.run()
    assert raised.value is not failure
    assert raised.value.__cause__ is failure


def test_a_defused_failure_does_not_end_the_run(env: Environment) -> None:
    event = env.event()
    event.callbacks.append(lambda failed: setattr(failed, "defused", True))
    event.fail(KeyError("handled"))
    env.run()
    assert event.processed
    assert not event.ok


def test_a_failed_event_ends_a_run_that_waits_for_it_with_its_own_exception(env: Environment) -> None:
    failure = KeyError("lost")
    event = env.event().fail(failure)
    with pytest.raises(KeyError) as raised:
        env.run(until=event)
    assert raised.value is failure


def test_an_exception_of_a_process_that_is_waited_for_reaches_the_waiter(env: Environment) -> None:
    def failing() -> Process:
        yield env.timeout(1)
        raise OSError("disk")

    def waiting() -> Process:
        try:
            yield env.process(failing())
        except OSError as failure:
            return f"{failure} at {env.now}"

    assert env.run(until=env.process(waiting())) == "disk at 1"


def test_an_exception_in_a_plain_call_is_raised_as_it_is_and_the_run_can_go_on(env: Environment) -> None:
    log = []

    def fail(_: object) -> None:
        raise IndexError("mine")  # what an empty heap raises too

    env.call_at(1, fail)
    env.call_at(2, log.append, "on")
    with pytest.raises(IndexError, match="mine"):
        env.run()
    env.run()
    assert (env.now, log) == (2, ["on"])


def test_a_wrapped_step_sees_every_entry(env: Environment) -> None:
    """SimPy's recipe for tracing replaces ``env.step`` on the instance."""
    seen = []
    step = env.step

    def traced() -> None:
        seen.append(env.peek())
        step()

    env.step = traced  # type: ignore[method-assign]
    env.timeout(1)
    env.call_at(2, lambda _: None)
    env.run(until=3)
    assert seen == [1, 2, 3]


def test_a_subclass_may_replace_what_makes_events(env: Environment) -> None:
    class Slow(Environment):
        def timeout(self, delay: float = 0, value: Any = None) -> simpy.Timeout:  # type: ignore[override]
            return simpy.Timeout(self, 2 * delay, value)

    slow = Slow()
    slow.run(until=slow.timeout(5))
    assert slow.now == 10
    assert type(env.timeout(1)) is simpy.Timeout


def test_times_keep_the_type_they_are_given_in(env: Environment) -> None:
    assert repr(env.now) == "0"
    env.run(until=3)
    assert repr(env.now) == "3"
    env.run(until="4.5")  # type: ignore[arg-type]
    assert repr(env.now) == "4.5"
    assert Environment(7.5).now == 7.5


# --- The light path ---------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(times=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30))
def test_plain_calls_and_events_keep_one_order_time_then_scheduling(times: list[tuple[int, bool]]) -> None:
    env = Environment()
    log: list[tuple[float, int]] = []
    for i, (time, plain) in enumerate(times):
        if plain:
            env.call_at(time, lambda i: log.append((env.now, i)), i)
        else:
            env.timeout(time, i).callbacks.append(lambda event: log.append((env.now, event.value)))
    env.run()
    assert log == sorted((time, i) for i, (time, _) in enumerate(times))


def test_urgent_events_go_before_plain_calls_of_the_same_time(env: Environment) -> None:
    log: list[str] = []

    def story() -> Process:
        log.append("process starts")
        yield env.timeout(0)

    env.call_after(0, log.append, "call")
    env.process(story())
    env.run()
    assert log == ["process starts", "call"]


def test_a_plain_call_is_one_heap_entry_and_no_event(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(simpy.Event, "__init__", lambda self, env: made.append(self))
    done: list[int] = []
    for i in range(10):
        env.call_after(i, done.append, i)
    assert len(env._queue) == 10
    env.run(until=20)
    assert done == list(range(10))
    assert made == []


def test_a_plain_call_during_the_run_may_schedule_for_now(env: Environment) -> None:
    log: list[tuple[float, str]] = []

    def first(name: str) -> None:
        log.append((env.now, name))
        env.call_at(env.now, lambda name: log.append((env.now, name)), "now")
        env.call_after(1, lambda name: log.append((env.now, name)), "in a second")

    env.call_at(2, first, "first")
    env.run()
    assert log == [(2, "first"), (2, "now"), (3, "in a second")]


@pytest.mark.parametrize("time", [4.999, -1, nan, inf, -inf])
def test_a_call_in_the_past_or_never_is_refused_with_the_time(env: Environment, time: float) -> None:
    env.run(until=5)
    with pytest.raises(ValueError, match=f"{time!r} s"):
        env.call_at(time, print)
    assert env.peek() == inf


@pytest.mark.parametrize("delay", [-1e-9, nan, inf, -inf])
def test_a_negative_or_endless_delay_is_refused_with_its_value(env: Environment, delay: float) -> None:
    with pytest.raises(ValueError, match=f"{delay!r} s"):
        env.call_after(delay, print)
    assert env.peek() == inf


@pytest.mark.parametrize("run", [lambda env: env.run(), lambda env: [env.step() for _ in range(3)]])
def test_running_and_stepping_process_plain_calls_alike(
    env: Environment, run: Callable[[Environment], object]
) -> None:
    log: Log = []
    for time in (3, 1, 2):
        env.call_at(time, lambda name: log.append((env.now, name)), f"call for {time}")
    run(env)
    assert log == [(1, "call for 1"), (2, "call for 2"), (3, "call for 3")]


# --- Time that stands still ---------------------------------------------------------------------------------


def test_a_run_in_which_time_does_not_advance_is_an_error(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "CROWD", 1000)

    def again(argument: Any) -> None:
        env.call_after(0.0, again)

    env.call_after(1.5, again)
    with pytest.raises(StandstillError, match=r"time stands still at 1.5 s: more than 2,000 events"):
        env.run(until=2.0)


def test_a_crowd_at_one_instant_is_no_standstill(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much may happen at one time, and each of it may cause something more at that time."""
    monkeypatch.setattr(endings, "CROWD", 1000)
    seen: list[Any] = []

    def first(argument: Any) -> None:
        env.call_after(0.0, seen.append)

    for _ in range(1500):
        env.call_after(1.0, first)
    env.run()
    assert len(seen) == 1500


def test_an_environment_that_overrides_step_detects_a_standstill_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "CROWD", 1000)

    class Traced(Environment):
        def step(self) -> None:
            super().step()

    env = Traced()

    def clock() -> Process:
        while True:
            yield env.timeout(0)

    env.process(clock())
    with pytest.raises(StandstillError):
        env.run()


def test_the_notes_of_an_exception_come_out_of_the_run_with_it() -> None:
    env = Environment()
    failure = KeyError("oops")
    failure.add_note("on n0 at 1 s")
    env.event().fail(failure)
    with pytest.raises(KeyError) as raised:
        env.run()
    assert raised.value.__notes__ == ["on n0 at 1 s"]


def test_a_run_has_the_garbage_collector_look_seldom_and_gives_its_settings_back() -> None:
    before = gc.get_threshold()
    seen: list[tuple[int, int, int]] = []

    def fail(_: None) -> None:
        raise RuntimeError("it fails")

    try:
        for chosen, during in (((700, 10, 5), 10_000), ((0, 10, 10), 0), ((50_000, 3, 3), 50_000)):
            gc.set_threshold(*chosen)
            env = Environment()
            env.call_after(1.0, lambda _: seen.append(gc.get_threshold()))
            env.call_after(2.0, fail)
            env.run(until=1.5)
            assert seen.pop() == (during, *chosen[1:])
            assert gc.get_threshold() == chosen
            with pytest.raises(RuntimeError, match="it fails"):
                env.run()
            assert gc.get_threshold() == chosen
    finally:
        gc.set_threshold(*before)
