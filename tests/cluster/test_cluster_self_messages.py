"""A message to oneself is the next step: no core, no link, no loss, in no count; a pause keeps it, a crash does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine, own_steps
from sim.kernel import StandstillError
from sim.network import constant, lan
from sim.network.topology import Topology
from sim.node import Node, Part, durable, message, part
from sim.system import Invariant, Member

DISK = Machine(disk=Disk(fsync=0.2))
BUSY = Machine(per_message=0.01)


@message
class Note:
    text: str


@message
class Ask:
    text: str


class Inner(Part):
    def on_ask(self, src: str, msg: Ask) -> None:
        self.node.saw(f"{msg.text} from {src}")
        self.reply(src, Note(f"re {msg.text}"))

    def tell(self) -> None:
        self.send(self.name, Note("of the part"))


class Selfish(Node):
    kept = durable(0)
    inner = part(Inner)

    def on_start(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self.plan: Callable[[], None] = lambda: None

    def saw(self, what: str) -> None:
        self.seen.append((what, self.now))

    def on_note(self, src: str, msg: Note) -> None:
        self.saw(msg.text)
        if msg.text == "go":
            self.plan()
        elif msg.text.startswith("chain "):
            left = int(msg.text.removeprefix("chain "))
            if left:
                self.send(self.name, Note(f"chain {left - 1}"))

    def on_tick_timeout(self) -> None:
        self.saw("tick")


class Ears(Invariant):
    """Hears everything."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str, str]] = []

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.heard.append(("sent", src, dst, message.text))

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        self.heard.append(("delivered", src, dst, message.text))


def cluster(profile: Machine | None = None, topology: Topology | None = None, **options: Any) -> Cluster:
    made = Cluster(topology or constant(0.1), seed=1, **options)
    for name in ("a", "b"):
        made.add(Member(name, Selfish), place="lan", profile=profile)
    made.boot()
    return made


def node(made: Cluster, name: str = "a") -> Any:
    return made.nodes[name]


def texts(made: Cluster, name: str = "a") -> list[str]:
    return [text for text, _ in node(made, name).seen]


CAREFUL = [{}, {"checking": True, "tracing": True}]
both_paths = pytest.mark.parametrize("options", CAREFUL, ids=["quick", "careful"])


@both_paths
@pytest.mark.parametrize("profile", [None, DISK, BUSY], ids=["plain", "disk", "cores"])
def test_it_is_the_next_step_before_whatever_else_comes_at_that_instant(
    options: dict[str, Any], profile: Machine | None
) -> None:
    made = cluster(profile, **options)
    a = node(made)

    def plan() -> None:
        a.set_timer("tick", 0.0)
        a.send("a", Note("chain 1"))
        a.send("a", Note("second"))
        a.inner.tell()

    a.plan = plan
    for text in ("go", "other"):  # they arrive at the same instant
        node(made, "b").send("a", Note(text))
    made.env.run(until=1.0)
    expected = ["go", "chain 1", "second", "of the part", "chain 0"]
    assert texts(made)[:5] == expected
    assert sorted(texts(made)[5:]) == ["other", "tick"]
    assert {when for text, when in a.seen if text in expected} == {a.seen[0][1]}


@both_paths
def test_it_waits_for_the_disk_unless_it_says_otherwise(options: dict[str, Any]) -> None:
    made = cluster(DISK, **options)
    a = node(made)

    def plan() -> None:
        a.send("a", Note("before"))
        a.kept += 1
        a.send("a", Note("held"))
        a.send("b", Note("held, too"))
        a.send("a", Note("at once"), hold=False)

    a.plan = plan
    node(made, "b").send("a", Note("go"))
    made.env.run(until=1.0)
    assert a.seen == [("go", 0.1), ("before", 0.1), ("at once", 0.1), ("held", pytest.approx(0.3))]
    assert node(made, "b").seen == [("held, too", pytest.approx(0.4))]


@pytest.mark.parametrize("tracing", [False, True])
def test_it_costs_nothing_and_is_counted_nowhere(tracing: bool) -> None:
    made = cluster(BUSY, tracing=tracing)
    node(made).send("a", Note("chain 99"))
    made.env.run(until=1.0)
    made.finish()
    assert len(texts(made)) == 100
    host = made.hosts["a"]
    assert (host.messages_in, host.cpu.busy, host.cpu.served, host.cpu.backlog_max) == (0, 0.0, 0, 0)
    assert made.recorder.links == []
    assert made.recorder.messages == []
    assert [row[3:6] for row in made.recorder.nodes] == [(0, 0, 0)] * 2  # in, out, bytes out


@both_paths
def test_no_loss_duplication_cut_or_hold_touches_it(options: dict[str, Any]) -> None:
    made = cluster(topology=lan(0.1, loss=0.5, duplicate=0.5), **options)
    made.network.cut([("a", "a")])
    made.network.hold(lambda src, dst, message: True)
    node(made).send("a", Note("chain 99"))
    made.env.run(until=1.0)
    assert texts(made) == [f"chain {i}" for i in range(99, -1, -1)]
    assert made.network.held == ()


def test_a_broadcast_to_all_members_reaches_oneself_first() -> None:
    made = cluster()
    node(made).broadcast(Note("all"), to=node(made).members)
    made.env.run(until=1.0)
    assert (node(made).seen, node(made, "b").seen) == ([("all", 0.0)], [("all", 0.1)])


@both_paths
def test_invariants_hear_it_sent_and_delivered(options: dict[str, Any]) -> None:
    made = cluster(DISK, **options)
    ears = Ears()
    made.watch([ears])
    node(made).kept += 1
    node(made).send("a", Note("chain 1"))
    made.env.run(until=0.1)
    assert ears.heard == [], "it has not left: what it depends on is not synced"
    made.env.run(until=1.0)
    both = [(what, "a", "a", f"chain {n}") for n in (1, 0) for what in ("sent", "delivered")]
    assert ears.heard == (both if options else [])


def test_with_checking_it_may_not_change_before_it_is_handled() -> None:
    made = cluster(checking=True)
    changing = Note("was")
    node(made).send("a", changing)
    changing.text = "is"  # type: ignore[misc]
    with pytest.raises(AssertionError, match="from a to a was changed after it was sent"):
        made.env.run(until=1.0)


@both_paths
@pytest.mark.parametrize("profile", [None, DISK], ids=["plain", "disk"])
def test_a_pause_keeps_it(options: dict[str, Any], profile: Machine | None) -> None:
    made = cluster(profile, **options)
    a = node(made)
    a.kept += 1
    a.send("a", Note("chain 1"))
    made.pause("a")
    node(made, "b").send("a", Note("later"))
    made.env.run(until=2.0)
    assert a.seen == []
    made.resume("a")
    made.env.run(until=3.0)
    assert a.seen == [("chain 1", 2.0), ("chain 0", 2.0), ("later", 2.0)]


@both_paths
@pytest.mark.parametrize("profile", [None, DISK], ids=["plain", "disk"])
@pytest.mark.parametrize("paused", [False, True])
def test_a_crash_destroys_it_and_no_next_incarnation_gets_it(
    options: dict[str, Any], profile: Machine | None, paused: bool
) -> None:
    made = cluster(profile, **options)
    a = node(made)
    a.kept += 1
    a.send("a", Note("ghost"))
    if paused:
        made.pause("a")
        made.env.run(until=0.5)
    made.crash("a")
    made.restart("a")
    made.env.run(until=2.0)
    assert (a.seen, texts(made)) == ([], [])
    assert node(made).incarnation == 1


@both_paths
@pytest.mark.parametrize("profile", [None, BUSY], ids=["plain", "cores"])
def test_a_call_to_oneself_is_answered_at_once(options: dict[str, Any], profile: Machine | None) -> None:
    made = cluster(profile, **options)
    a = node(made)
    answers: list[tuple[Any, float]] = []

    def asking() -> Any:
        answers.append(((yield a.call("a", Ask("me?"), timeout=1.0)), a.now))

    made.env.run(until=0.5)
    a.spawn(asking())
    made.env.run(until=2.0)
    assert answers == [(Note("re me?"), 0.5)]
    assert a.seen == [("me? from a", 0.5)]


@both_paths
def test_a_node_that_sends_to_itself_endlessly_is_an_error(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_steps.MOST_AT_ONCE == 1_000_000
    monkeypatch.setattr(own_steps, "MOST_AT_ONCE", 1_000)
    made = cluster(**options)
    for _ in range(3):  # as many as are allowed at one instant, thrice
        made.env.run(until=made.env.now + 1.0)
        node(made).send("a", Note("chain 999"))
    made.env.run(until=made.env.now + 1.0)
    node(made).send("a", Note("chain 1000"))
    with pytest.raises(StandstillError, match=r"a has taken more than 1,000 steps of its own .* at 4\.0 s"):
        made.env.run(until=9.0)
