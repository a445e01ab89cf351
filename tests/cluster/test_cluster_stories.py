"""A handler that yields is a story: each part between two yields is one step of its node, like any handler."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.kernel import StandstillError
from sim.network import constant
from sim.node import Node, Part, durable, message, part
from sim.system import Invariant, Member

Steps = Generator[Any, Any, Any]
DISK = Machine(disk=Disk(fsync=0.01))


@message
class Request:
    text: str


@message
class Reply:
    text: str


@message
class Ask:
    n: int


@message
class ToPart:
    text: str


class Helper(Part):
    def on_to_part(self, src: str, msg: ToPart) -> Steps:
        self.node.saw("part begins")
        yield self.sleep(0.5)
        self.node.saw("part goes on")
        self.reply(src, Reply("of the part"))

    def on_part_timeout(self) -> Steps:
        yield self.sleep(0.5)
        self.node.saw("part's timer goes on")


class Server(Node):
    """One of each kind of story."""

    first = durable(0)
    second = durable(0)
    helper = part(Helper)
    script: Callable[[Any], Steps] | None = None

    def on_start(self) -> Steps:
        self.seen: list[tuple[str, float]] = []
        self.saw("start")
        yield self.sleep(1.0)
        self.saw("started")

    def saw(self, what: str) -> None:
        self.seen.append((what, round(self.host.env.now, 6)))

    def on_request(self, src: str, msg: Request) -> Steps:
        self.saw("request")
        answer = yield self.call("b", Ask(1), timeout=1.0)
        self.saw(f"answered {answer}")
        yield self.sleep(0.3)
        self.reply(src, Reply(msg.text))

    def on_ask(self, src: str, msg: Ask) -> None:
        self.reply(src, Ask(msg.n + 1))

    def on_reply(self, src: str, msg: Reply) -> None:
        self.saw(f"reply {msg.text}")

    def on_alarm_timeout(self) -> Steps:
        self.saw("alarm")
        yield self.sleep(0.5)
        self.saw("alarm goes on")

    def on_keyed_timeout(self, key: int) -> Steps:
        self.saw(f"keyed {key}")
        yield self.sleep(0.5)
        self.saw(f"keyed {key} goes on")

    def on_job_done(self) -> Steps:
        self.saw("job")
        yield self.sleep(0.5)
        self.saw("job goes on")


PATHS = {
    "quick": (None, {}),
    "disk": (DISK, {}),
    "cores": (Machine(per_message=1e-9), {}),
    "careful": (None, {"checking": True, "tracing": True}),
    "careful, disk": (DISK, {"checking": True, "tracing": True}),
}
every_path = pytest.mark.parametrize("path", PATHS)
STORIES = ["quick", "careful, disk"]


def cluster(path: str = "quick", node_class: type[Node] = Server) -> Cluster:
    profile, options = PATHS[path]
    made = Cluster(constant(0.1), seed=1, **options)
    for name in ("a", "b"):
        made.add(Member(name, node_class), place="lan", profile=profile)
    made.boot()
    return made


def node(made: Cluster, name: str = "a") -> Any:
    return made.nodes[name]


def seen(made: Cluster, name: str = "a") -> list[tuple[str, float]]:
    return [(text, when) for text, when in node(made, name).seen if not text.startswith("start")]


# It runs, wherever it stands


@every_path
def test_a_message_handler_begins_in_its_step_and_may_reply_from_a_later_part(path: str) -> None:
    made = cluster(path)
    answers: list[Any] = []

    def asking() -> Steps:
        answers.append((yield node(made, "b").call("a", Request("call"))))

    node(made, "b").spawn(asking())
    node(made, "b").send("a", Request("plain"))
    made.env.run(until=3.0)
    assert [text for text, _ in seen(made)] == [
        "request",
        "request",
        f"answered {Ask(2)}",
        f"answered {Ask(2)}",
    ]
    assert [when for _, when in seen(made)] == pytest.approx([0.1, 0.1, 0.3, 0.3])
    assert answers == [Reply("call")]
    assert [text for text, _ in seen(made, "b")] == ["reply plain"]
    assert seen(made, "b")[0][1] == pytest.approx(0.7)
    assert node(made).seen[0] == ("start", 0.0)
    assert node(made).seen[-1] == ("started", 1.0)


@every_path
def test_timers_work_and_parts_have_stories(path: str) -> None:
    made = cluster(path)
    a = node(made)
    a.set_timer("alarm", 1.0)
    a.set_timer("keyed", 1.25, 7)
    a.helper.set_timer("part", 1.5)
    a.work("job", 2.0)
    made.env.run(until=2.9)
    node(made, "b").send("a", ToPart("?"))
    made.env.run(until=4.0)
    assert seen(made) == [
        ("alarm", 1.0),
        ("keyed 7", 1.25),
        ("alarm goes on", 1.5),
        ("keyed 7 goes on", 1.75),
        ("job", 2.0),
        ("part's timer goes on", 2.0),
        ("job goes on", 2.5),
        ("part begins", 3.0),
        ("part goes on", 3.5),
    ]
    assert seen(made, "b") == [("reply of the part", 3.6)]


@every_path
def test_a_dispatched_message_begins_its_story_in_the_same_step(path: str) -> None:
    made = cluster(path)
    a = node(made)

    def unpack(self: Any = a) -> None:
        self.dispatch("b", ToPart("?"))
        self.saw("dispatched")

    a.on_alarm_timeout = unpack
    a.set_timer("alarm", 1.0)
    made.env.run(until=2.0)
    assert seen(made) == [("part begins", 1.0), ("dispatched", 1.0), ("part goes on", 1.5)]


@every_path
def test_a_spawned_story_begins_in_the_next_step_at_the_same_instant(path: str) -> None:
    made = cluster(path)
    a = node(made)

    def told() -> Steps:
        a.saw("spawned")
        yield a.sleep(0.5)
        return "the end"

    def telling() -> Steps:
        a.saw("before")
        story = a.spawn(told())
        a.send("a", Reply("to itself"))
        a.saw("after")
        ended = yield story
        again = yield story  # it is over: the value is there
        a.saw(f"{ended}, {again}")

    made.env.run(until=1.0)
    a.spawn(telling())
    made.env.run(until=2.0)
    words = ["before", "after", "spawned", "reply to itself"]
    assert seen(made) == [*((w, 1.0) for w in words), ("the end, the end", 1.5)]


@every_path
def test_what_follows_a_yield_of_what_has_happened_already_is_a_step_of_its_own(path: str) -> None:
    made = cluster(path)
    a = node(made)
    happened = a.event().succeed("value")

    def told() -> Steps:
        a.send("a", Reply("to itself"))
        a.saw(f"had {(yield happened)}")

    made.env.run(until=1.0)
    a.spawn(told())
    made.env.run(until=2.0)
    assert seen(made) == [("reply to itself", 1.0), ("had value", 1.0)]


# One record, one question to the invariants


class Twins(Node):
    """Writes two fields in each part; a disk that holds one of them without the other is torn."""

    first = durable(0)
    second = durable(0)

    def on_request(self, src: str, msg: Request) -> Steps:
        yield from self.writing()

    def on_go_timeout(self) -> None:
        self.spawn(self.writing())

    def writing(self) -> Steps:
        while True:
            self.first += 1
            self.second += 1
            yield self.sleep(0.003)


@pytest.mark.parametrize("spawned", [False, True])
def test_what_a_part_of_a_story_writes_is_one_record(spawned: bool) -> None:
    kept = []
    for crash_after in range(20):
        made = Cluster(constant(0.1), seed=crash_after)
        made.add(Member("a", Twins), place="lan", profile=DISK)
        made.boot()
        if spawned:
            node(made).set_timer("go", 0.0)
        else:
            node(made).send("a", Request("go"))
        made.env.run(until=0.05 + 0.0013 * crash_after)
        made.crash("a")
        made.restart("a")
        kept.append((node(made).first, node(made).second))
    assert all(first == second for first, second in kept), kept
    assert len(set(kept)) > 3, "crashes strike at different moments"


class Balanced(Invariant):
    """Both fields agree whenever it is asked; it counts the questions."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def on_step(self, node: Any) -> None:
        self.asked.append(node.first)
        if node.first != node.second:
            self.violated(node.name, f"{node.first}, {node.second}", invariant="torn")


def test_invariants_are_asked_after_each_part_and_never_within() -> None:
    made = Cluster(constant(0.1), seed=1, checking=True)
    made.add(Member("a", Twins), place="lan")
    balanced = Balanced()
    made.watch([balanced])
    made.boot()
    node(made).send("a", Request("go"))
    made.env.run(until=0.0100)
    assert balanced.asked == [0, 1, 2, 3, 4]


# Pause and crash


@pytest.mark.parametrize("path", STORIES)
def test_a_pause_holds_a_story_back(path: str) -> None:
    made = cluster(path)
    made.env.run(until=2.0)
    node(made, "b").send("a", Request("x"))
    made.env.run(until=2.15)
    made.pause("a")
    made.env.run(until=4.0)
    assert seen(made) == [("request", 2.1)]
    made.resume("a")
    made.env.run(until=6.0)
    assert seen(made)[1][1] == 4.0
    assert [text for text, _ in seen(made, "b")] == ["reply x"]


@pytest.mark.parametrize("path", STORIES)
@pytest.mark.parametrize("restart", [False, True])
def test_a_crash_ends_a_story_and_its_last_words_reach_no_one(path: str, restart: bool) -> None:
    made = cluster(path)
    a = node(made)
    ended = []

    def told() -> Steps:
        try:
            yield a.sleep(1.0)
            ended.append("lived")
        finally:
            ended.append("closed")
            a.send("b", Reply("ghost"))
            a.record("ghost")
            a.set_timer("alarm", 0.1)
            a.first = 99
            a.spawn(told())

    a.spawn(told())
    made.env.run(until=0.5)
    made.crash("a")
    if restart:
        made.restart("a")
        assert node(made).first == 0
    made.env.run(until=3.0)
    assert ended == ["closed"]
    assert seen(made, "b") == []
    assert [row[2] for row in made.recorder.events] == ["crash", "restart"][: 1 + restart]


@pytest.mark.parametrize("path", STORIES)
def test_a_crash_between_spawn_and_its_first_step_leaves_nothing(path: str) -> None:
    made = cluster(path)
    made.env.run(until=2.0)
    begun = []

    def told() -> Steps:
        begun.append(1)
        yield node(made).sleep(1.0)

    node(made).spawn(told())
    made.crash("a")
    made.restart("a")
    made.env.run(until=4.0)
    assert begun == []


@pytest.mark.parametrize("path", STORIES)
def test_a_story_that_crashes_its_own_node_ends_there(path: str) -> None:
    made = cluster(path)
    a = node(made)
    words = []

    def told() -> Steps:
        yield a.sleep(0.5)
        made.crash("a")
        a.send("b", Reply("ghost"))
        words.append("last")
        yield a.sleep(0.5)
        words.append("ghost")

    a.spawn(told())
    made.env.run(until=3.0)
    assert words == ["last"]
    assert seen(made, "b") == []


# Mistakes speak


def raising(path: str, story: Callable[[Any], Any]) -> BaseException:
    """What comes out of a run in which ``a`` handles its alarm, at 2 s, by this."""
    made = cluster(path)
    a = node(made)
    a.on_alarm_timeout = lambda: story(a)
    a.set_timer("alarm", 2.0)
    with pytest.raises(Exception) as caught:
        made.env.run(until=5.0)
    return caught.value


@every_path
def test_an_error_in_a_later_part_says_where_and_when(path: str) -> None:
    def story(a: Any) -> Steps:
        yield a.sleep(0.25)
        raise KeyError("oops")

    error = raising(path, story)
    assert isinstance(error, KeyError)
    assert error.__notes__ == ["on a (Server) at 2.250000 s"]


@every_path
def test_an_error_of_a_story_that_another_waits_for_is_thrown_into_that(path: str) -> None:
    made = cluster(path)
    a = node(made)
    caught = []

    def failing() -> Steps:
        yield a.sleep(0.25)
        raise KeyError("oops")

    def waiting(*, forgiving: bool) -> Steps:
        try:
            yield a.spawn(failing())
        except KeyError as error:
            caught.append(error)
            if not forgiving:
                raise

    a.spawn(waiting(forgiving=True))
    made.env.run(until=1.0)
    assert len(caught) == 1
    a.spawn(waiting(forgiving=False))
    with pytest.raises(KeyError) as raised:
        made.env.run(until=2.0)
    assert raised.value.__notes__ == ["on a (Server) at 1.250000 s"]


YIELDED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a number": (lambda a: 0.01, r"0\.01, which is no event: yield what sleep, call"),
    "nothing": (lambda a: None, "None, which is no event"),
    "a verb without a value": (lambda a: a.send("b", Ask(1)), "None, which is no event"),
    "a generator": (lambda a: a.__class__.on_request.__wrapped__(a, "b", Request("x")), "write `yield from`"),
    "a handler that yields": (
        lambda a: a.on_request("b", Request("x")),
        "what calling Server.on_request gave",
    ),
    "an event of another run": (lambda a: cluster().env.event(), "which is no event"),
}


@pytest.mark.parametrize("what", YIELDED)
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_yield_of_what_is_no_event_is_refused(what: str, stubborn: bool) -> None:
    make, text = YIELDED[what]

    def story(a: Any) -> Steps:
        try:
            yield make(a)
        except TypeError:
            if not stubborn:
                raise

    for path in PATHS:
        error = raising(path, story)
        assert isinstance(error, TypeError)
        assert error.__notes__[0] == "on a (Server) at 2.000000 s"
        with pytest.raises(TypeError, match=rf"^a: .*story yields.*{text}"):
            raise error


class Overriding(Server):
    def on_alarm_timeout(self) -> None:  # type: ignore[override]
        super().on_alarm_timeout()


class Delegating(Server):
    def on_alarm_timeout(self) -> Steps:
        yield from super().on_alarm_timeout()
        self.saw("and more")


class Spawning(Server):
    def on_alarm_timeout(self) -> None:  # type: ignore[override]
        self.spawn(super().on_alarm_timeout())


class Returning(Server):
    def on_alarm_timeout(self) -> Any:
        return super().on_alarm_timeout()


def plainly(a: Any) -> None:
    a.on_keyed_timeout(1)


def plainly_kept(a: Any) -> None:
    a.kept_story = a.on_keyed_timeout(1)


def plainly_in_a_story(a: Any) -> Steps:
    yield a.sleep(0.25)
    a.on_keyed_timeout(1)
    yield a.sleep(0.25)


def plainly_in_a_spawned_story(a: Any) -> None:
    a.spawn(plainly_in_a_story(a))


@pytest.mark.parametrize("path", STORIES)
@pytest.mark.parametrize("caller", [plainly, plainly_kept, plainly_in_a_story, plainly_in_a_spawned_story])
def test_a_plain_call_of_a_handler_that_yields_is_an_error_in_that_step(path: str, caller: Any) -> None:
    error = raising(path, caller)
    assert isinstance(error, TypeError)
    when = "2.000000" if caller in (plainly, plainly_kept) else "2.250000"
    assert error.__notes__ == [f"on a (Server) at {when} s"]
    with pytest.raises(
        TypeError, match=r"Server\.on_keyed_timeout yields, and was called like a plain method"
    ):
        raise error


@every_path
def test_a_plain_call_of_the_handler_of_a_base_is_an_error(path: str) -> None:
    made = cluster(path, Overriding)
    node(made).set_timer("alarm", 2.0)
    with pytest.raises(
        TypeError, match=r"Server\.on_alarm_timeout yields, and was called like a plain"
    ) as caught:
        made.env.run(until=5.0)
    assert caught.value.__notes__ == ["on a (Overriding) at 2.000000 s"]


@every_path
@pytest.mark.parametrize(
    ("node_class", "last"),
    [(Delegating, "and more"), (Spawning, "alarm goes on"), (Returning, "alarm goes on")],
)
def test_a_handler_that_yields_may_be_delegated_to(path: str, node_class: type[Node], last: str) -> None:
    made = cluster(path, node_class)
    node(made).set_timer("alarm", 2.0)
    made.env.run(until=5.0)
    assert seen(made)[:2] == [("alarm", 2.0), ("alarm goes on", 2.5)]
    assert seen(made)[-1] == (last, 2.5)


def test_a_handler_of_a_plain_mixin_may_yield() -> None:
    class Mixin:
        def on_alarm_timeout(self: Any) -> Steps:
            self.saw("mixed in")
            yield self.sleep(0.5)
            self.saw("goes on")

    class Mixed(Mixin, Server):
        def on_job_done(self) -> None:  # type: ignore[override]
            self.on_alarm_timeout()

    made = cluster("quick", Mixed)
    node(made).set_timer("alarm", 2.0)
    made.env.run(until=3.0)
    assert seen(made) == [("mixed in", 2.0), ("goes on", 2.5)]
    node(made).work("job", 1.0)
    with pytest.raises(
        TypeError, match=r"Mixin\.on_alarm_timeout yields, and was called like a plain method"
    ):
        made.env.run(until=6.0)


@pytest.mark.parametrize("name", ["on_reply", "on_start", "on_tick_timeout", "on_job_done"])
@pytest.mark.parametrize("base", [Node, Part])
def test_a_coroutine_is_refused_when_the_class_is_defined(name: str, base: type) -> None:
    async def handler(self: Any, src: str, msg: Reply) -> None: ...

    async def callback(self: Any) -> None: ...

    async def generating(self: Any) -> Any:
        yield 1

    for method in (handler,) if name == "on_reply" else (callback, generating):
        with pytest.raises(
            TypeError, match=rf"Modern\.{name}: a handler is no coroutine: write `def {name}`"
        ):
            type("Modern", (base,), {name: method})


def test_spawn_takes_stories_only() -> None:
    for wrong in (None, [1, 2], 0.5, lambda: None):
        with pytest.raises(TypeError, match=r"a: spawn takes a story, a generator; .* is none"):
            node(cluster()).spawn(wrong)


@every_path
def test_a_story_that_never_lets_time_advance_is_an_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.cluster.own_steps.MOST_AT_ONCE", 1_000)

    def story(a: Any) -> Steps:
        while True:
            yield a.event().succeed()

    error = raising(path, story)
    assert isinstance(error, StandstillError)
    assert str(error).startswith("a has taken more than 1,000 steps of its own")
