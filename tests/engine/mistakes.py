"""Mistakes of users, each in several places: what is raised, what it says, and on which line of the user it ends."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from math import inf, nan
from typing import Any

import simpy
from simpy.core import StopSimulation

from sim.cluster import Cluster, Disk, Machine
from sim.kernel import Environment, Timer, endings
from sim.network import lan
from sim.node import Node, message
from sim.system import Member
from tests.engine.scenarios import Told

__all__ = ["tell_mistakes"]


@message
class Ping:
    number: int
    text: str = "x"


@message
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ValueError(f"a positive number, not {self.number!r}")


@message
class Unsized:
    @property
    def wire_bytes(self) -> int:
        raise LookupError("nobody knows")


@message
class Unfounded:
    @property
    def wire_bytes(self) -> int:
        return self.nothing  # type: ignore[attr-defined, no-any-return]


@message
class Wordy:
    wire_bytes = "many"


class Careless(Node):
    """Makes one mistake, in one place."""

    mistake: Callable[[Any], Any] = staticmethod(lambda node: None)
    place = ""

    def on_start(self) -> None:
        if self.name == "n1":
            return
        self.set_timer("alarm", 0.01)
        self.work("job", 0.02)
        self.act("start")

    def act(self, place: str) -> Any:
        return type(self).mistake(self) if place == type(self).place else None

    def on_alarm_timeout(self, key: Any = None) -> Any:
        self.send("n1", Ping(1))
        self.spawn(self.story())
        return self.act("timer")

    def on_job_done(self, key: Any = None) -> Any:
        return self.act("work")

    def on_ping(self, src: str, msg: Ping) -> Any:
        if self.name == "n1":
            self.send(src, msg)
            return None
        return self.act("message")

    def story(self) -> Any:
        yield self.sleep(0.05)
        self.act("story")
        yield self.sleep(0.05)


def _raise(node: Any) -> None:
    raise ArithmeticError("a mistake", 7)


def _raise_with_a_note(node: Any) -> None:
    error = KeyError("key")
    error.add_note("a note of the user")
    raise error


def _raise_from_another(node: Any) -> None:
    try:
        {}["nothing"]  # type: ignore[index]
    except KeyError as error:
        raise RuntimeError("for a reason") from error


def _forget_a_field(node: Any) -> None:
    ping = Ping(1)
    del ping.text
    node.send("n1", ping)


def _sizes(node: Any) -> None:
    raise ValueError([Ping(1, value).wire_bytes for value in VALUES])


VALUES: tuple[Any, ...] = (
    "", "ää", b"abc", 5, 2.0, True, None, (), (1, 2.0, "abc", None, True), ((1, (2, "a")), b"x"), [1, 2],
    {"a": 1, 2: (3,)}, frozenset({1, 2}), Ping(1), Ping(1, "abc"), (Ping(2), [Ping(3, ())]),
    Positive(1), object(), 2**100, Ping,
)  # fmt: skip

MISTAKES: dict[str, Callable[[Any], Any]] = {
    "raise": _raise,
    "raise with a note": _raise_with_a_note,
    "raise from another": _raise_from_another,
    "unknown destination": lambda node: node.send("nobody", Ping(1)),
    "no name": lambda node: node.send(None, Ping(1)),
    "unhashable destination": lambda node: node.send(["n1"], Ping(1)),
    "too few arguments": lambda node: Ping(),  # type: ignore[call-arg]
    "too many arguments": lambda node: Ping(1, "a", 2),  # type: ignore[call-arg]
    "too many, and a keyword": lambda node: Ping(1, "a", 2, text="b"),  # type: ignore[call-arg]
    "unknown keyword": lambda node: Ping(1, words="a"),  # type: ignore[call-arg]
    "unknown keyword, and too few": lambda node: Ping(words="a"),  # type: ignore[call-arg]
    "duplicate keyword": lambda node: Ping(1, number=2),  # type: ignore[misc]
    "only a keyword": lambda node: Ping(text="a"),  # type: ignore[call-arg]
    "a field that is no word": lambda node: Ping(1, **{"no word": 2}),  # type: ignore[arg-type]
    "too few of one": lambda node: Positive(),  # type: ignore[call-arg]
    "refused by the class": lambda node: Positive(-1),
    "refused by the class, by keyword": lambda node: Positive(number=-1),
    "a text is no message": lambda node: node.send("n1", "text"),
    "None is no message": lambda node: node.send("n1", None),
    "a number is no message": lambda node: node.send("n1", 1),
    "a class is no message": lambda node: node.send("n1", Ping),
    "a text to oneself": lambda node: node.send("n0", "text"),
    "a size that raises": lambda node: node.send("n1", Unsized()),
    "a size that is not there": lambda node: node.send("n1", Unfounded()),
    "a size that is no number": lambda node: node.send("n1", Wordy()),
    "a field that is not there": _forget_a_field,
    "sizes": _sizes,
    "call: send without a message": lambda node: node.send("n1"),
    "call: send with too many": lambda node: node.send("n1", Ping(1), True, 4),
    "call: send with an unknown keyword": lambda node: node.send("n1", Ping(1), keep=True),
    "call: send twice the same": lambda node: node.send("n1", Ping(1), msg=Ping(2)),
    "call: send nothing": lambda node: node.send(),
    "call: send by name": lambda node: node.send(msg=Ping(1), dst="n1"),
    "call: timer by name": lambda node: node.set_timer(delay=0.001, name="alarm"),
    "call: work by name": lambda node: node.work("job", seconds=0.001, priority=1),
    "negative delay": lambda node: node.set_timer("alarm", -1.0),
    "infinite delay": lambda node: node.set_timer("alarm", inf),
    "no delay": lambda node: node.set_timer("alarm", nan),
    "a delay in words": lambda node: node.set_timer("alarm", "soon"),
    "unknown timer": lambda node: node.set_timer("nothing", 1.0),
    "timer with an unhashable key": lambda node: node.set_timer("alarm", 1.0, []),
    "call: timer without a delay": lambda node: node.set_timer("alarm"),
    "call: timer with too many": lambda node: node.set_timer("alarm", 1.0, 2, 3),
    "call: timer with an unknown keyword": lambda node: node.set_timer("alarm", seconds=1.0),
    "negative work": lambda node: node.work("job", -1.0),
    "infinite work": lambda node: node.work("job", inf),
    "work in words": lambda node: node.work("job", "long"),
    "unknown work": lambda node: node.work("nothing", 1.0),
    "work with an unhashable key": lambda node: node.work("job", 1.0, []),
    "call: work without seconds": lambda node: node.work("job"),
    "call: work with too many": lambda node: node.work("job", 1.0, 2, 3, 4),
    "call: work with an unknown keyword": lambda node: node.work("job", time=1.0),
    "a result": lambda node: 5,
}
PLACES = ("message", "timer", "work", "story", "start")
HOSTS: dict[str, tuple[Machine, bool]] = {
    "bare": (Machine(), False),
    "with costs": (Machine(per_message=1e-4, disk=Disk(fsync=0.001)), False),
    "checked": (Machine(), True),
}


def tell_mistakes() -> Iterator[Told]:
    """Each mistake of a node in each place, and the mistakes with an environment."""
    for name, mistake in MISTAKES.items():
        for host, (machine, checking) in HOSTS.items():
            for place in PLACES if host == "bare" else PLACES[:1]:
                play = partial(_play, mistake, place, machine, checking)
                yield {
                    "name": f"{name}, {place}, {host}",
                    **_raised(play, wrong_verb=name.startswith("call: ")),
                }
    for made in USES:
        yield {"name": made.__name__.strip("_"), **_raised(made, made.__name__.startswith("_wrong_call"))}


def _play(mistake: Callable[[Any], Any], place: str, machine: Machine, checking: bool) -> Any:
    cluster = Cluster(lan(0.001), 1, checking=checking)
    kind = type("Careless", (Careless,), {"mistake": staticmethod(mistake), "place": place})
    for name in ("n0", "n1"):
        cluster.add(Member(name, kind), place=cluster.network.topology.regions[0], profile=machine)
    cluster.boot()
    cluster.env.run(until=1.0)
    return (
        cluster.env.now,
        cluster.env.scheduled,
        {name: host.messages_in for name, host in cluster.hosts.items()},
    )


def _raised(use: Callable[[], Any], wrong_call: bool = False, *, wrong_verb: bool = False) -> Told:
    """What a function raises: type, message, notes, causes, and where the traceback ends.

    Of a ``wrong_call`` (too many arguments, too few) of an environment, the type and the line: Python and Cython have
    words of their own for it. Of a ``wrong_verb`` not whether a line of the engine follows: only
    a compiled verb has one.
    """
    try:
        return {"returned": repr(use())}
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if frame.filename == __file__]
        chain = [error]
        while (before := chain[-1].__cause__ or _context(chain[-1])) is not None:
            chain.append(before)
        if wrong_call:
            return {
                "raised": [type(one).__name__ for one in chain],
                "ends": f"{ours[-1].lineno} {ours[-1].line}",
            }
        return {
            "raised": [[type(one).__name__, _text(one), *getattr(one, "__notes__", ())] for one in chain],
            "ends": f"{ours[-1].lineno} {ours[-1].line}",
            "in the engine": frames[-1].filename != __file__ and not wrong_verb,
        }


def _text(error: BaseException) -> str:
    """What an exception says, without addresses."""
    return re.sub(r"0x[0-9a-f]+", "0x...", str(error))


def _context(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


# --- With an environment ----------------------------------------------------------------------------------


def _call_in_the_past() -> None:
    env = Environment(5)
    env.call_at(4.5, print)


def _call_never() -> None:
    Environment().call_at(inf, print)


def _call_at_no_time() -> None:
    Environment().call_at(nan, print)


def _call_at_a_word() -> None:
    Environment().call_at("soon", print)  # type: ignore[arg-type]


def _call_after_less_than_nothing() -> None:
    Environment().call_after(-1, print)


def _wrong_call_without_a_function() -> None:
    Environment().call_at(1.0)  # type: ignore[call-arg]


def _wrong_call_with_too_many() -> None:
    Environment().call_after(1.0, print, 1, 2)  # type: ignore[call-arg]


def _call_what_cannot_be_called() -> None:
    env = Environment()
    env.call_at(1.0, 5)  # type: ignore[arg-type]
    env.run()


def _a_priority_too_high() -> None:
    env = Environment()
    env.schedule(simpy.Event(env), endings.PRIORITIES)  # type: ignore[arg-type]


def _a_priority_too_low() -> None:
    env = Environment()
    env.schedule(simpy.Event(env), -endings.PRIORITIES - 1)  # type: ignore[arg-type]


def _a_priority_that_is_no_integer() -> None:
    env = Environment()
    env.schedule(simpy.Event(env), 0.5)  # type: ignore[arg-type]


def _priorities_at_the_edge() -> list[Any]:
    env = Environment()
    seen: list[Any] = []
    for priority in (endings.PRIORITIES - 1, 1, 0, -endings.PRIORITIES, True):
        event = simpy.Event(env)
        event._ok, event._value = True, priority
        event.callbacks.append(lambda event: seen.append(event.value))
        env.schedule(event, priority)  # type: ignore[arg-type]
    env.run()
    return seen


def _a_negative_timeout() -> None:
    Environment().timeout(-1)


def _an_event_that_fails() -> None:
    env = Environment()
    error = LookupError("it failed")
    error.add_note("a note")
    env.event().fail(error)
    env.run()


def _a_process_that_fails() -> None:
    env = Environment()

    def work() -> Any:
        yield env.timeout(1)
        raise LookupError("it failed")

    env.process(work())
    env.run()


def _an_event_that_fails_step_by_step() -> None:
    env = Environment()
    env.event().fail(LookupError("it failed"))
    env.step()


def _a_callback_that_raises() -> Any:
    env = Environment()

    def callback(event: Any) -> None:
        raise LookupError("in a callback")

    env.timeout(1).callbacks.append(callback)
    env.run()


def _run_into_the_past() -> None:
    env = Environment(3)
    env.run(until=2)


def _run_until_what_never_happens() -> None:
    env = Environment()
    env.call_at(1.0, print_nothing)
    env.run(until=env.event())


def _step_where_nothing_is_left() -> None:
    Environment().step()


def _standstill() -> None:
    env = Environment()

    def again(_: Any) -> None:
        env.call_after(0, again)

    env.call_at(1.0, again)
    before, endings.CROWD = endings.CROWD, 100
    try:
        env.run()
    finally:
        endings.CROWD = before


def _standstill_step_by_step() -> None:
    class Stepped(Environment):
        def step(self) -> None:
            super().step()

    env = Stepped()

    def again(_: Any) -> None:
        env.timeout(0).callbacks.append(again)

    env.call_at(1.0, again)
    before, endings.CROWD = endings.CROWD, 100
    try:
        env.run()
    finally:
        endings.CROWD = before


def _stop_among_callbacks() -> list[Any]:
    """The callbacks after the one that stops run when the simulation goes on, before all else."""
    seen: list[Any] = []
    for stepped in (False, True):
        env = Environment()
        event = env.timeout(1, "value")
        env.timeout(1).callbacks.append(lambda _: seen.append("next event"))

        def stop(event: Any) -> None:
            raise StopSimulation(event.value)

        event.callbacks.extend([lambda _: seen.append("first"), stop, lambda _: seen.append("last")])
        if stepped:
            try:
                env.step()
            except StopSimulation as stopped:
                seen.append(stopped.args)
        else:
            seen.append(env.run())
        seen.append([env.now, env.peek(), event.callbacks is None])
        env.run()
        seen.append(env.now)
    return seen


def _stop_in_a_plain_call() -> Any:
    env = Environment()

    def stop(argument: Any) -> None:
        raise StopSimulation(argument)

    env.call_at(1.0, stop, "stopped")
    env.call_at(1.0, print_nothing)
    return env.run(), env.now, env.peek(), env.run(), env.scheduled


def _a_timer_in_the_past() -> None:
    env = Environment(5)
    Timer(env, print).arm_at(4)


def _a_timer_that_never_fires() -> None:
    Timer(Environment(), print).arm_at(inf)


def _a_timer_that_raises() -> None:
    env = Environment()

    def fire(argument: Any) -> None:
        raise LookupError(argument)

    timer = Timer(env, fire, "in a timer")
    timer.arm_at(1.0)
    timer.arm_at(2.0)
    env.run()


def _an_interrupt_that_nobody_catches() -> None:
    env = Environment()

    def sleep() -> Any:
        yield env.timeout(5)

    process = env.process(sleep())
    env.call_at(1.0, lambda _: process.interrupt("now"))
    env.run()


def _a_process_that_yields_nonsense() -> None:
    env = Environment()

    def nonsense() -> Any:
        yield 5

    env.process(nonsense())
    env.run()


def print_nothing(_: Any) -> None:
    """For a plain call that does nothing."""


USES: list[Callable[[], Any]] = [
    use
    for name, use in list(globals().items())
    if callable(use)
    and name.startswith("_")
    and getattr(use, "__code__", None)
    and not use.__code__.co_argcount
]
