"""Whatever hosts a node, it does the same: twenty little nodes under every host.

Each little node says what it sees by `record`; every host must give the same records, in the same order and at the
same times. A host is a class below: another one is one more entry of `HOSTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, Protocol

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.network import constant
from sim.node import Node, Part, durable, durable_log, durable_map, message, part
from sim.system import Member
from sim.testing import Bench, Stage

Steps = Generator[Any, Any, Any]
NAMES = ("a", "b", "c")


@message
class Note:
    text: str


@message
class Ask:
    n: int


@message
class Told:
    n: int


@message
class Wrapped:
    inner: Note


@message
class ForPart:
    text: str


# The hosts


class HostOfThree(Protocol):
    """Three nodes of one class, whose messages take 0.25 s."""

    def run(self, until: float) -> None: ...
    def restart(self, name: str) -> None: ...
    def node(self, name: str) -> Any: ...
    def records(self) -> list[tuple[str, str, Any]]: ...


class Simulated:
    """The simulator."""

    profile: Machine | None = None
    options: ClassVar[dict[str, bool]] = {}

    def __init__(self, node_class: type[Node]) -> None:
        self.cluster = Cluster(constant(0.25), seed=1, **self.options)
        for name in NAMES:
            self.cluster.add(Member(name, node_class), place="lan", profile=self.profile)
        self.cluster.boot()

    def run(self, until: float) -> None:
        self.cluster.env.run(until=until)

    def restart(self, name: str) -> None:
        self.cluster.crash(name)
        self.cluster.restart(name)

    def node(self, name: str) -> Any:
        return self.cluster.nodes[name]

    def records(self) -> list[tuple[str, str, Any]]:
        rows = [(node, event, detail) for _, node, event, detail in self.cluster.recorder.events]
        return [row for row in rows if row[1] not in ("crash", "restart")]


class Quick(Simulated):
    """On the quick path: nothing is checked, disks are instant, messages are free."""


class Careful(Simulated):
    """On the careful path: checked and traced, through cores, with a disk."""

    profile = Machine(disk=Disk(fsync=1e-9), per_message=1e-9)
    options: ClassVar[dict[str, bool]] = {"checking": True, "tracing": True}


class Benches:
    """A bench for each node, and a post between them."""

    def __init__(self, node_class: type[Node]) -> None:
        self.said: list[tuple[str, str, Any]] = []
        self.post: list[tuple[float, str, str, Any]] = []  # due, from, to, message
        self.jobs: list[tuple[float, str, tuple[str, Any]]] = []
        self.benches = {n: Bench(node_class, n, members=NAMES, seed=1, start=False) for n in NAMES}
        for bench in self.benches.values():
            bench.boot()
            self.collect(bench)

    def collect(self, bench: Bench[Any]) -> None:
        self.post += [(bench.time + 0.25, bench.name, str(dst), sent) for dst, sent in bench.sent]
        bench.sent.clear()
        known = [(name, job) for _, name, job in self.jobs]
        new = [(bench.name, job) for job in bench.jobs if (bench.name, job) not in known]
        for name, job in new:  # one core
            free = max([bench.time, *(due for due, owner, _ in self.jobs if owner == name)])
            self.jobs.append((free + bench.jobs[job], name, job))
        self.said += [(bench.name, event, detail) for event, detail in bench.records]
        bench.records.clear()

    def run(self, until: float) -> None:
        while True:
            self.jobs = [j for j in self.jobs if j[2] in self.benches[j[1]].jobs]
            due = [t for t, *_ in self.post] + [t for t, *_ in self.jobs]
            for bench in self.benches.values():
                due += [*bench.timers.values(), bench.env.peek()]
            now = min(due, default=until)
            if now >= until:
                break
            for bench in self.benches.values():
                bench.advance(max(0.0, now - bench.time))
                self.collect(bench)
            arrived = [entry for entry in self.post if entry[0] <= now]
            self.post = [entry for entry in self.post if entry[0] > now]
            for _, src, dst, sent in arrived:
                self.benches[dst].deliver(src, sent)
                self.collect(self.benches[dst])
            for entry in [j for j in self.jobs if j[0] <= now]:
                self.jobs.remove(entry)
                bench = self.benches[entry[1]]
                if entry[2] in bench.jobs:
                    bench.jobs[entry[2]] = 0.0  # its time is over
                    bench.finish(*entry[2])
                    self.collect(bench)
        for bench in self.benches.values():
            bench.time = until

    def restart(self, name: str) -> None:
        self.jobs = [job for job in self.jobs if job[1] != name]
        self.benches[name].restart()
        self.collect(self.benches[name])

    def node(self, name: str) -> Any:
        return self.benches[name].node

    def records(self) -> list[tuple[str, str, Any]]:
        return self.said


class Staged:
    """A stage, by hand."""

    def __init__(self, node_class: type[Node]) -> None:
        self.stage = Stage([Member(name, node_class) for name in NAMES], delay=0.25, seed=1)

    def run(self, until: float) -> None:
        self.stage.run(until - self.stage.now)

    def restart(self, name: str) -> None:
        self.stage.crash(name)
        self.stage.restart(name)

    def node(self, name: str) -> Any:
        return self.stage.node(name)

    def records(self) -> list[tuple[str, str, Any]]:
        rows = [(node, event, detail) for _, node, event, detail in self.stage.cluster.recorder.events]
        return [row for row in rows if row[1] not in ("crash", "restart")]


HOSTS: dict[str, Callable[[type[Node]], HostOfThree]] = {
    "simulator, quick": Quick,
    "simulator, careful": Careful,
    "bench": Benches,
    "stage": Staged,
}


# The little nodes: each does its thing on ``a`` when it begins


class Little(Node):
    """What they share."""

    def on_start(self) -> None:
        self.begun = self.now
        if self.name == "a":
            self.go()

    def go(self) -> None:
        """What ``a`` does when it starts."""

    def say(self, what: str) -> None:
        """Say what is seen, and when."""
        self.record(what, at=round(self.now, 3))

    def on_note(self, src: str, msg: Note) -> None:
        self.say(f"{msg.text} from {src}")

    def on_ask(self, src: str, msg: Ask) -> None:
        self.reply(src, Told(msg.n + 1))

    def on_told(self, src: str, msg: Told) -> None:
        self.say(f"told {msg.n} by {src}")


class Sends(Little):
    def go(self) -> None:
        self.send("b", Note("first"))
        self.send("b", Note("second"), hold=False)


class SendsToItself(Little):
    def go(self) -> None:
        self.send("a", Note("to itself"))
        self.send("a", Wrapped(Note("and again")))
        self.say("begun")

    def on_wrapped(self, src: str, msg: Wrapped) -> None:
        self.send("a", msg.inner)
        self.say("wrapped")


class Broadcasts(Little):
    def go(self) -> None:
        self.broadcast(Note("to peers"))
        self.broadcast(Note("to all"), to=self.members)


class Replies(Little):
    def go(self) -> None:
        self.send("b", Ask(1))


class Timers(Little):
    def go(self) -> None:
        self.set_timer("tick", 1.0)
        self.set_timer("tick", 0.5)
        self.set_timer("cancelled", 0.25)
        self.cancel_timer("cancelled")
        self.cancel_timer("cancelled")
        for key in (3, 1, 2):
            self.set_timer("keyed", 0.1 * key, key)
        self.cancel_timer("keyed", 1)

    def on_tick_timeout(self) -> None:
        self.say("tick")
        if self.now < 1.5:
            self.set_timer("tick", 0.5)

    def on_cancelled_timeout(self) -> None:
        self.say("cancelled")

    def on_keyed_timeout(self, key: int) -> None:
        self.say(f"keyed {key}")


class TimerParts(Part):
    def on_start(self) -> None:
        if self.name == "a":
            self.set_timer("tick", 0.3)
            self.work("job", 0.35)

    def on_tick_timeout(self) -> None:
        self.record(f"tick of {self.part_name}")

    def on_job_done(self) -> None:
        self.record(f"job of {self.part_name}")

    def on_for_part(self, src: str, msg: ForPart) -> None:
        self.record(f"{self.part_name} got {msg.text}")
        self.reply(src, Note("from the part"))


class Parts(Little):
    """A node, and a part of it, have a timer and a job of the same name."""

    left = part(TimerParts)

    def go(self) -> None:
        self.set_timer("tick", 0.2)
        self.work("job", 0.1)
        self.send("b", ForPart("it"))
        self.send("a", ForPart("its own"))

    def on_tick_timeout(self) -> None:
        self.say("tick of the node")

    def on_job_done(self) -> None:
        self.say("job of the node")


class Works(Little):
    def go(self) -> None:
        self.work("job", 0.5)
        self.work("keyed", 0.5, 7)
        self.record("cancelled", what=self.cancel_work("keyed", 7))
        self.record("cancelled", what=self.cancel_work("keyed", 7))

    def on_job_done(self) -> None:
        self.say("done")

    def on_keyed_done(self, key: int) -> None:
        self.say(f"keyed {key}")


class Remembers(Little):
    """Restarted at 1 s, it has what it wrote, and nothing else of its first life."""

    value = durable(0)
    log = durable_log()
    table = durable_map()

    def go(self) -> None:
        self.record("remembers", value=self.value, log=tuple(self.log), table=tuple(self.table.items()))
        self.value += 1
        self.log.append("x")
        self.barrier()
        self.log.extend(["y", "z"])
        self.log.truncate(2)
        self.table["k"] = self.value
        self.table["gone"] = 1
        del self.table["gone"]
        self.record("life", incarnation=self.incarnation)
        if not self.incarnation:
            self.set_timer("old", 1.5)
            self.spawn(self.old())

    def old(self) -> Steps:
        yield self.sleep(1.5)
        self.say("of the first life")

    def on_old_timeout(self) -> None:
        self.say("timer of the first life")


class Dispatches(Little):
    def go(self) -> None:
        self.send("b", Wrapped(Note("inside")))

    def on_wrapped(self, src: str, msg: Wrapped) -> None:
        self.dispatch(src, msg.inner)
        self.say("unpacked")


class StoryOfMessage(Little):
    def go(self) -> None:
        self.send("b", Note("begin"))

    def on_note(self, src: str, msg: Note) -> Steps:  # type: ignore[override]
        self.say("begins")
        yield self.sleep(0.5)
        self.say("goes on")
        self.send(src, Told(1))


class StoryOfStart(Little):
    def on_start(self) -> Steps:  # type: ignore[override]
        self.say("begins")
        yield self.sleep(0.5)
        self.say("goes on")


class StoryOfTimerAndWork(Little):
    def go(self) -> None:
        self.set_timer("tick", 0.5, 1)
        self.work("job", 0.25)

    def on_tick_timeout(self, key: int) -> Steps:
        self.say(f"tick {key}")
        yield self.sleep(0.25)
        self.say("after the tick")

    def on_job_done(self) -> Steps:
        self.say("job")
        yield self.sleep(0.125)
        self.say("after the job")


class Spawns(Little):
    def go(self) -> None:
        self.over = self.spawn(self.story("x"))
        self.send("a", Note("after the story begins"))
        self.spawn(self.waits())
        self.say("before the story begins")

    def story(self, text: str) -> Steps:
        self.say(f"story {text}")
        yield self.sleep(0.25)
        return text

    def waits(self) -> Steps:
        text = yield self.over
        self.say(f"story {text} is over")
        self.say(f"again: {(yield self.over)}")


class Calls(Little):
    def go(self) -> None:
        self.spawn(self.story())

    def story(self) -> Steps:
        first = yield self.call("b", Ask(1))
        self.say(f"answered {first}")
        own = yield self.call("a", Ask(10), timeout=1.0)
        self.say(f"answered itself {own}")
        late = yield self.call("b", Ask(20), timeout=0.25)
        self.say(f"answered {late}")
        yield self.sleep(1.0)


class AnswersLater(Little):
    def go(self) -> None:
        self.spawn(self.story())

    def story(self) -> Steps:
        self.say(f"answered {(yield self.call('b', Ask(1), timeout=5.0))}")

    def on_ask(self, src: str, msg: Ask) -> Steps:  # type: ignore[override]
        yield self.sleep(0.25)
        further = yield self.call("c", Wrapped(Note("?")))
        self.reply(src, Told(further.n + msg.n))

    def on_wrapped(self, src: str, msg: Wrapped) -> None:
        self.reply(src, Told(40))


class FirstOf(Little):
    def go(self) -> None:
        self.signal = self.event()
        self.spawn(self.story())
        self.set_timer("signal", 0.5)

    def story(self) -> Steps:
        long = self.sleep(10.0)
        happened = yield self.first_of(self.signal, long)
        self.say(f"signal {happened[self.signal]}, {long in happened}")

    def on_signal_timeout(self) -> None:
        self.signal.succeed("green")


class CrashesInMidStory(Little):
    """Restarted at 1 s: nothing of the old story goes on."""

    kept = durable(0)

    def go(self) -> None:
        self.spawn(self.story())

    def story(self) -> Steps:
        try:
            for i in range(4):
                self.kept += 1
                self.record("part", i=i, kept=self.kept)
                yield self.sleep(0.375)
        finally:
            self.record("last words", life=self.incarnation)


class Delegates(Little):
    def go(self) -> None:
        self.set_timer("outer", 0.25)

    def on_inner_timeout(self) -> Steps:
        self.say("inner")
        yield self.sleep(0.25)
        return "value"

    def on_outer_timeout(self) -> Steps:
        value = yield from self.on_inner_timeout()
        self.say(f"outer has {value}")


class Knows(Little):
    def go(self) -> None:
        self.record("knows", name=self.name, peers=self.peers, members=self.members, life=self.incarnation)
        self.record("idle", backlog=self.backlog)


class Draws(Little):
    def go(self) -> None:
        self.record("draws", numbers=[self.random.random() for _ in range(3)], pick=self.random.below(10))


class Measures(Little):
    """The monotonic clock begins anywhere, and goes on evenly."""

    def go(self) -> None:
        self.before = self.monotonic
        self.set_timer("tick", 0.5)

    def on_tick_timeout(self) -> None:
        self.say(f"{self.monotonic - self.before:.6f} s have passed")


LITTLE = Little.__subclasses__()


def records_of(host: str, node_class: type[Node]) -> list[tuple[str, str, Any]]:
    made = HOSTS[host](node_class)
    made.run(1.0)
    made.restart("a")
    made.run(6.0)
    return made.records()


@pytest.mark.parametrize("node_class", LITTLE, ids=lambda c: c.__name__)
def test_every_host_runs_it_alike(node_class: type[Node]) -> None:
    first, *others = HOSTS
    expected = records_of(first, node_class)
    assert expected, "it says something"
    for host in others:
        assert by_node(records_of(host, node_class)) == by_node(expected), host


def by_node(records: Sequence[tuple[str, str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """What each node has said, in order; nodes that act at one instant may come in any order."""
    return {name: [(event, detail) for node, event, detail in records if node == name] for name in NAMES}


def test_there_are_twenty_of_them() -> None:
    assert len(LITTLE) >= 20


@pytest.mark.parametrize("host", HOSTS)
def test_a_crash_closes_a_story_that_waits_at_once(host: str) -> None:
    made = HOSTS[host](Knows)
    made.run(1.0)
    node, words = made.node("a"), []

    def story() -> Steps:
        try:
            yield node.sleep(1.0)
            words.append("went on")
        finally:
            words.append("closed")

    node.spawn(story())
    made.run(1.5)
    made.restart("a")
    assert words == ["closed"]
    made.run(4.0)
    assert words == ["closed"]


# Mistakes


class Plainly(Little):
    def go(self) -> None:
        self.set_timer("outer", 0.25)

    def on_inner_timeout(self) -> Steps:
        yield self.sleep(0.25)

    def on_outer_timeout(self) -> None:
        self.on_inner_timeout()


class YieldsNoEvent(Little):
    def on_note(self, src: str, msg: Note) -> Steps:  # type: ignore[override]
        yield 0.01

    def go(self) -> None:
        self.send("a", Note("x"))


class RaisesLater(Little):
    def go(self) -> None:
        self.spawn(self.story())

    def story(self) -> Steps:
        yield self.sleep(0.5)
        raise KeyError("oops")


class SpawnsNothing(Little):
    def go(self) -> None:
        self.spawn(None)  # type: ignore[arg-type]


class SendsNoMessage(Little):
    def go(self) -> None:
        self.send("b", "text")


class SendsItselfNoMessage(Little):
    def go(self) -> None:
        self.send("a", ("a", "tuple"))


MISTAKES: dict[type[Node], tuple[type[Exception], str]] = {
    Plainly: (TypeError, r"Plainly\.on_inner_timeout yields, and was called like a plain method"),
    YieldsNoEvent: (TypeError, r"a: YieldsNoEvent\.on_note yields 0\.01, which is no event"),
    RaisesLater: (KeyError, "oops"),
    SendsNoMessage: (TypeError, "@message"),
    SendsItselfNoMessage: (TypeError, "@message"),
    SpawnsNothing: (TypeError, "a: spawn takes a story, a generator; None is none"),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("node_class", MISTAKES, ids=lambda c: c.__name__)
def test_every_host_refuses_it_alike(host: str, node_class: type[Node]) -> None:
    kind, text = MISTAKES[node_class]
    with pytest.raises(kind, match=text) as caught:
        HOSTS[host](node_class).run(2.0)
    assert any(note.startswith(f"on a ({node_class.__name__}) at ") for note in caught.value.__notes__)


def test_a_bench_runs_handlers_that_yield_and_refuses_a_call_by_the_test_itself() -> None:
    bench = Bench(StoryOfMessage, "b", members=NAMES)
    with pytest.raises(TypeError, match=r"StoryOfMessage\.on_note yields: hand it in by `deliver`"):
        bench.node.on_note("a", Note("x"))
    assert bench.deliver("a", Note("x")) == []
    bench.advance(0.25)
    assert bench.sent == []
    bench.advance(0.25)
    assert bench.sent == [("a", Told(1))]


def test_a_bench_distinguishes_the_timers_of_a_node_from_those_of_its_parts() -> None:
    bench = Bench(Parts, "a", members=NAMES)
    assert {"tick", "left.tick"} == {name for name, _ in bench.timers}
    bench.fire("tick")
    bench.fire("tick")  # the part's: there is no other
    bench.finish("left.job")
    said = [event for event, _ in bench.records]
    assert said[-3:] == ["tick of the node", "tick of left", "job of left"]
    with pytest.raises(KeyError):
        bench.fire("tick")


def test_a_bench_shows_a_call_and_takes_its_answer() -> None:
    bench = Bench(Calls, "a", members=NAMES)
    (asked,) = bench.take("b")
    assert asked.request == Ask(1)
    bench.answer("b", Told(2))
    assert [event for event, _ in bench.records] == [f"answered {Told(2)}", f"answered itself {Told(11)}"]


def test_a_bench_keeps_messages_of_the_node_to_itself_on_request() -> None:
    bench = Bench(SendsToItself, "a", members=NAMES, keep_own=True)
    assert bench.sent == [("a", Note("to itself")), ("a", Wrapped(Note("and again")))]
    bench.deliver_self()
    assert [event for event, _ in bench.records] == [
        "begun",
        "to itself from a",
        "wrapped",
        "and again from a",
    ]


VERBS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "a timer in the past": (lambda n: n.set_timer("tick", -1.0), ValueError, "cannot be set -1.0 s ahead"),
    "a timer at no time": (lambda n: n.set_timer("tick", float("nan")), ValueError, "cannot be set nan s"),
    "a timer without end": (lambda n: n.set_timer("tick", float("inf")), ValueError, "cannot be set inf s"),
    "a timer without a handler": (
        lambda n: n.set_timer("tock", 1.0),
        TypeError,
        "no handler on_tock_timeout",
    ),
    "work that takes less than nothing": (lambda n: n.work("job", -1.0), ValueError, "cannot take -1.0 s"),
    "work without a handler": (lambda n: n.work("jab", 1.0), TypeError, "no handler on_jab_done"),
    "a sleep in the past": (lambda n: n.sleep(-1.0), ValueError, "cannot wait for -1.0 s"),
    "a sleep at no time": (lambda n: n.sleep(float("nan")), ValueError, "cannot wait for nan s"),
    "a call with no time": (lambda n: n.call("b", Ask(1), -1.0), ValueError, "timeout must be at least 0 s"),
    "a message without a handler": (lambda n: n.dispatch("b", ForPart("x")), TypeError, "has no handler for"),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_host_refuses_the_same_uses_of_verbs(host: str, verb: str) -> None:
    act, kind, text = VERBS[verb]
    made = HOSTS[host](Timers if "timer" in verb else Works)
    made.run(5.0)
    with pytest.raises(kind, match=text):
        act(made.node("a"))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("node_class", [Timers, Remembers, Calls], ids=lambda c: c.__name__)
def test_a_dead_node_object_says_nothing(host: str, node_class: type[Node]) -> None:
    made = HOSTS[host](node_class)
    made.run(1.0)
    dead = made.node("a")
    made.restart("a")
    made.run(8.0)
    before = len(made.records())
    dead.record("ghost")
    for dst in NAMES:
        dead.send(dst, Note("ghost"))
        dead.call(dst, Ask(1), 0.5)
        dead.dispatch(dst, Note("ghost"))
    dead.spawn(dead.host.sleep(1.0) for _ in range(3))
    dead.sleep(0.1)
    dead.event()
    assert dead.first_of(dead.event()) is not None
    made.run(12.0)
    assert [r for r in made.records()[before:] if "ghost" in r[1]] == []
