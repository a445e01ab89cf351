"""A crash throws the node away: whatever verb it used before, nothing of it happens afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.network import constant
from sim.node import Node, Part, durable, durable_log, durable_map, message, part
from sim.system import Member


@message
class Note:
    text: str


@message
class Question:
    text: str


class Clockwork(Part):
    def on_start(self) -> None:
        self.set_timer("tick", 1.0)

    def on_tick_timeout(self) -> None:
        self.node.seen.append("part tick")


class Busy(Node):
    kept = durable(0)
    log = durable_log()
    table = durable_map()
    clockwork = part(Clockwork)

    def on_start(self) -> None:
        self.seen: list[str] = []
        self.witness = []

    def on_note(self, src: str, msg: Note) -> None:
        self.seen.append(msg.text)

    def on_question(self, src: str, msg: Question) -> None:
        self.reply(src, Note(f"re: {msg.text}"))

    def on_alarm_timeout(self) -> None:
        self.seen.append("alarm")
        self.send("b", Note("alarm"))

    def on_keyed_timeout(self, key: int) -> None:
        self.send("b", Note(f"keyed {key}"))

    def on_job_done(self) -> None:
        self.send("b", Note("job done"))

    def story(self) -> Any:
        yield self.sleep(1.0)
        self.send("b", Note("story slept"))

    def asking(self) -> Any:
        yield self.call("b", Question("?"))
        self.send("b", Note("story got its answer"))


def cluster(profile: Machine | None = None, **options: Any) -> Cluster:
    made = Cluster(constant(0.1), seed=1, **options)
    for name in ("a", "b"):
        made.add(Member(name, Busy), place="lan", profile=profile)
    made.boot()
    return made


def node(made: Cluster, name: str) -> Any:
    return made.nodes[name]


BEFORE: dict[str, Callable[[Any], None]] = {
    "set_timer": lambda n: n.set_timer("alarm", 1.0),
    "set_timer with a key": lambda n: n.set_timer("keyed", 1.0, 7),
    "work": lambda n: n.work("job", 1.0),
    "spawn and sleep": lambda n: n.spawn(n.story()),
    "spawn and call": lambda n: n.spawn(n.asking()),
}


@pytest.mark.parametrize("verb", BEFORE)
@pytest.mark.parametrize("restart", [False, True])
def test_what_a_node_began_before_its_crash_never_happens(verb: str, restart: bool) -> None:
    begun = cluster()
    BEFORE[verb](node(begun, "a"))
    begun.env.run(until=5.0)
    received = list(node(begun, "b").seen)
    assert any(text != "part tick" for text in received), "without a crash the verb does something"

    crashed = cluster()
    BEFORE[verb](node(crashed, "a"))
    crashed.env.run(until=0.05)
    crashed.crash("a")
    if restart:
        crashed.restart("a")
    crashed.env.run(until=5.0)
    assert [t for t in node(crashed, "b").seen if t != "part tick"] == []


AFTER: dict[str, Callable[[Any], Any]] = {
    **BEFORE,
    "send": lambda n: n.send("b", Note("ghost")),
    "send at once": lambda n: n.send("b", Note("ghost"), hold=False),
    "broadcast": lambda n: n.broadcast(Note("ghost")),
    "reply": lambda n: n.reply("b", Note("ghost")),
    "cancel_timer": lambda n: n.cancel_timer("alarm"),
    "cancel_work": lambda n: n.cancel_work("job"),
    "record": lambda n: n.record("ghost"),
    "barrier": lambda n: n.barrier(),
    "durable": lambda n: setattr(n, "kept", 99),
    "durable_log": lambda n: n.log.append("ghost"),
    "durable_map": lambda n: n.table.update(ghost=1),
}


@pytest.mark.parametrize("verb", AFTER)
@pytest.mark.parametrize(("fsync", "tracing"), [(0.0, False), (0.01, False), (0.0, True)])
def test_a_dead_node_object_can_do_nothing(verb: str, fsync: float, tracing: bool) -> None:
    made = cluster(Machine(disk=Disk(fsync=fsync)), tracing=tracing)
    dead = node(made, "a")
    haunted: list[str] = []
    for handler in ("on_alarm_timeout", "on_keyed_timeout", "on_job_done"):
        assert hasattr(dead, handler)
        setattr(dead, handler, lambda *_, handler=handler: haunted.append(handler))
    made.crash("a")
    AFTER[verb](dead)
    made.env.run(until=5.0)
    assert haunted == []
    assert [t for t in node(made, "b").seen if t != "part tick"] == []
    assert [e[2] for e in made.recorder.events] == ["crash"]
    made.restart("a")
    reborn = node(made, "a")
    assert (reborn.kept, list(reborn.log), dict(reborn.table)) == (0, [], {})


def test_a_message_that_arrives_while_a_node_is_down_is_lost_and_later_ones_are_not() -> None:
    made = cluster()
    node(made, "b").send("a", Note("too early"))
    made.crash("a")
    made.env.run(until=0.2)
    made.restart("a")
    node(made, "b").send("a", Note("in time"))
    made.env.run(until=0.5)
    assert node(made, "a").seen == ["in time"]
    assert made.hosts["a"].dropped == 1


def test_a_message_on_its_way_survives_the_crash_and_restart_of_its_receiver() -> None:
    made = cluster()
    node(made, "b").send("a", Note("on its way"))
    made.crash("a")
    made.restart("a")
    made.env.run(until=0.5)
    assert node(made, "a").seen == ["on its way"]


def test_a_message_queued_for_the_cpu_is_lost_in_a_crash() -> None:
    made = cluster(Machine(per_message=1.0))
    node(made, "b").send("a", Note("queued"))
    made.env.run(until=0.5)
    assert made.hosts["a"].backlog == 1
    made.crash("a")
    made.restart("a")
    made.env.run(until=5.0)
    assert "queued" not in node(made, "a").seen
    assert made.hosts["a"].backlog == 0


def test_volatile_state_is_new_and_durable_state_is_kept() -> None:
    made = cluster()
    before = node(made, "a")
    before.kept = 5
    before.log.extend(["x", "y", "z"])
    before.log.truncate(2)
    before.table["k"] = 1
    before.seen.append("volatile")
    made.crash("a")
    made.restart("a")
    after = node(made, "a")
    assert after is not before
    assert (after.kept, list(after.log), dict(after.table), after.seen) == (5, ["x", "y"], {"k": 1}, [])
    assert (before.incarnation, after.incarnation) == (0, 1)


def test_a_wiped_node_comes_back_with_an_empty_disk() -> None:
    made = cluster()
    node(made, "a").kept = 5
    made.crash("a")
    made.restart("a", wiped=True)
    assert node(made, "a").kept == 0


def test_a_late_reply_does_not_answer_a_call_of_the_next_incarnation() -> None:
    made = cluster()
    answers: list[Any] = []

    def asking(n: Any, text: str) -> Any:
        answers.append((yield n.call("b", Question(text))))

    first = node(made, "a")
    first.spawn(asking(first, "first"))
    made.env.run(until=0.15)
    made.crash("a")
    made.restart("a")
    second = node(made, "a")
    second.spawn(asking(second, "second"))
    made.env.run(until=1.0)
    assert answers == [Note("re: second")]


def test_crashing_twice_and_restarting_a_live_node_change_nothing() -> None:
    made = cluster()
    made.crash("a")
    made.crash("a")
    made.restart("a")
    alive = node(made, "a")
    made.restart("a")
    assert node(made, "a") is alive
    assert [e[2] for e in made.recorder.events] == ["crash", "restart"]
    with pytest.raises(LookupError, match="there is no node 'z'"):
        made.crash("z")
