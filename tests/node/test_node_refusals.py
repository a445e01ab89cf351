"""Invalid definitions of nodes, messages and systems are refused at definition, with the correction."""

from __future__ import annotations

import array
import itertools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest

from sim.node import Node, Part, durable, durable_log, durable_map, message, part
from sim.protocols.kv import KeyValueStore
from sim.system import Invariant, System
from sim.testing import Bench

MUTABLE = [
    {},
    [],
    set(),
    bytearray(),
    deque(),
    defaultdict(list),
    Counter(),
    OrderedDict(),
    array.array("d"),
    np.zeros(3),
    ([], 1),
    MappingProxyType({"a": []}),
    itertools.count(),
    iter([1, 2]),
    KeyValueStore(),
    np.random.default_rng(1),
]
IMMUTABLE = [
    *(
        None,
        1,
        0.5,
        "a",
        b"a",
        True,
        (),
        (1, ("a",)),
        frozenset({1}),
        MappingProxyType({"a": (1,)}),
        range(3),
    ),
    *(int, len, object(), np.float64(1.0), lambda: 1, property(lambda self: 1)),
]


def kinds(values: list[Any]) -> Any:
    return pytest.mark.parametrize("value", values, ids=lambda v: f"{type(v).__name__}-{str(v)[:12]}")


@kinds(MUTABLE)
def test_a_mutable_attribute_of_a_class_is_refused(value: Any) -> None:
    definitions: list[tuple[Callable[[], type], str]] = [
        (lambda: type("Shared", (Node,), {"data": value}), "Shared.data: .* is mutable, and all nodes"),
        (lambda: type("Shared", (Part,), {"data": value}), "Shared.data: .* is mutable, and all nodes"),
        (lambda: type("Shared", (System,), {"data": value}), "Shared.data: .* is mutable, and all systems"),
        (lambda: type("Shared", (Invariant,), {"data": value}), "Shared.data: .* is mutable, and all runs"),
        (
            lambda: message(type("Shared", (), {"data": value})),
            "Shared.data: .* is mutable, and all messages",
        ),
    ]
    for define, text in definitions:
        with pytest.raises(TypeError, match=text):
            define()


@kinds(IMMUTABLE)
def test_an_immutable_attribute_of_a_class_is_no_mistake(value: Any) -> None:
    for base in (Node, Part, System, Invariant):
        assert type("Fine", (base,), {"data": value})
    assert message(type("Fine", (), {"data": value}))


@kinds(MUTABLE[:12])
def test_a_mutable_durable_value_is_refused_wherever_it_is_written(value: Any) -> None:
    class Store(Node):
        field = durable(None)
        log = durable_log()
        table = durable_map()

    node: Any = Bench(Store).node

    def assign() -> None:
        node.field = value

    writes: list[Callable[[], object]] = [
        lambda: durable(value),
        assign,
        lambda: node.log.append(value),
        lambda: node.log.extend([value]),
        lambda: node.log.reset([value]),
        lambda: node.table.update(a=value),
        lambda: node.table.__setitem__("a", value),
        lambda: node.table.setdefault("a", value),
        lambda: node.table.__ior__({"a": value}),
        lambda: node.table.replace({"a": value}),
        lambda: node.log.append(Holder(value)),
        lambda: node.log.append(Kept(value)),
    ]
    for write in writes:
        with pytest.raises(TypeError, match="is mutable"):
            write()
    assert not node.log
    assert not node.table


@message
class Holder:
    content: Any
    number: int = 0


@dataclass(frozen=True)
class Kept:
    content: Any


def test_immutable_durable_values_are_taken() -> None:
    class Store(Node):
        log = durable_log()
        table = durable_map()

    node: Any = Bench(Store).node
    for value in (None, 1, "a", (1, (2,)), frozenset({1}), Holder((1,)), Kept("a"), Holder(Kept(1))):
        node.log.append(value)
        node.table["a"] = value
    assert len(node.log) == 8


def test_the_default_of_a_message_is_immutable() -> None:
    for value in MUTABLE[:12]:
        with pytest.raises(TypeError, match=r"Shared.data: the default .* is mutable"):
            message(type("Shared", (), {"data": value, "__annotations__": {"data": Any}}))


# Names


@pytest.mark.parametrize(
    "verb", ["send", "work", "record", "set_timer", "spawn", "reply", "broadcast", "call"]
)
def test_an_attribute_that_hides_a_verb_is_refused(verb: str) -> None:
    for value in (None, 0, "x"):
        with pytest.raises(TypeError, match=f"hides the verb {verb}"):
            type("Hiding", (Node,), {verb: value})
    with pytest.raises(TypeError, match=f"line 3: self.{verb} is assigned, but {verb} is a verb"):
        define(f"def on_start(self):\n        self.{verb} = {{}}")


def define(body: str, base: str = "Node") -> Any:
    names: dict[str, Any] = {}
    lines = body.replace("\n    ", "\n")
    source = "\n".join(f"    {line}" for line in lines.splitlines())
    head = f"class Hiding({base}):"
    exec(compile(f"{head}\n{source}\n", "hiding.py", "exec", dont_inherit=True), globals(), names)
    return names["Hiding"]


@pytest.mark.parametrize(
    "statement",
    [
        "self.work = {}",
        "self.work: dict = {}",
        "self.other, self.work = 1, 2",
        "del self.work",
        "self.incarnation += 1",
        "self.name = 'me'",
        "self.host = None",
        "self.random = None",
        "self.settings = {}",
        "later = lambda: setattr(self, 'a', 1)\n        def inner():\n            self.send = 1",
        "for self.send in range(3): pass",
        "with open('x') as self.record: pass",
    ],
)
def test_every_way_to_assign_a_name_of_the_host_is_seen(statement: str) -> None:
    with pytest.raises(TypeError, match=r"Hiding.on_start, line \d: self.\w+ is assigned"):
        define(f"def on_start(self):\n        {statement}")


@pytest.mark.parametrize(
    "statement",
    [
        "other.work = {}",
        "self.store.name = 1",
        "self.works = {}",
        "self.members = (); self.peers = ()",  # a reconfiguration
        "send, self.send = self.send, print",  # a wrapper of the verb
        "self.work('a', 1.0)",
    ],
)
def test_other_assignments_are_no_mistakes(statement: str) -> None:
    assert define(f"def on_start(self):\n        {statement}")


@pytest.mark.parametrize("name", ["name", "peers", "members", "settings", "random", "incarnation", "host"])
def test_an_attribute_of_the_class_that_the_host_sets_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"Hiding.{name} hides self.{name}, which the host sets"):
        define(f"{name} = 'x'")
    with pytest.raises(TypeError, match=f"Hiding.{name} hides"):
        define(f"def {name}(self): pass")


@pytest.mark.parametrize(
    "signature",
    [
        "send(self, dst, msg)",
        "send(self, msg)",
        "work(self, item)",
        "record(self, event)",
        "set_timer(self, name, delay)",
        "set_timer(self, name, delay, key)",
        "broadcast(self, msg, hold)",
        "spawn(self)",
        "barrier(self, why)",
        "call(self, dst, request, timeout=None, *, other)",
    ],
)
def test_a_method_that_cannot_stand_for_the_verb_of_its_name_is_refused(signature: str) -> None:
    with pytest.raises(TypeError, match=r"hides the verb .*give it another name"):
        define(f"def {signature}: pass")


@pytest.mark.parametrize(
    "signature",
    [
        "send(self, dst, msg, *, hold=True)",
        "send(self, dst, msg, hold=True, more=1)",
        "send(self, *args, **kwargs)",
        "set_timer(self, name, delay, key=None)",
        "record(self, what, **detail)",
        "spawn(self, generator)",
    ],
)
def test_a_method_may_override_a_verb_with_its_signature(signature: str) -> None:
    assert define(f"def {signature}: pass")


# Parts


def test_settings_of_a_part_are_neither_mutable_nor_hide_anything() -> None:
    class Detector(Part):
        threshold = 1.0

        def on_start(self) -> None:
            pass

    for value in MUTABLE:
        with pytest.raises(TypeError, match=r"part.Detector, known=.*the value is mutable"):
            part(Detector, known=value)
    for name in ("send", "name", "on_start", "node"):
        with pytest.raises(TypeError, match=f"hides Detector.{name}"):
            part(Detector, **{name: 1})
    assert part(Detector, threshold=2.0)


def test_a_part_has_no_parts() -> None:
    class Inner(Part):
        pass

    with pytest.raises(TypeError, match=r"Outer.inner: a part has no parts; declare it in the node"):
        type("Outer", (Part,), {"inner": part(Inner)})


class Documented(System):
    """Class variables of systems are immutable like everything of them."""

    operations: ClassVar[frozenset[str]] = frozenset({"get"})


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_work_and_timers_without_a_handler_or_of_no_length_are_refused_by_the_bench_too(
    seconds: float,
) -> None:
    class Worker(Node):
        def on_job_done(self) -> None:
            pass

        def on_tick_timeout(self) -> None:
            pass

    node = Bench(Worker).node
    with pytest.raises(TypeError, match="Worker has no handler on_jobb_done"):
        node.work("jobb", 1.0)
    with pytest.raises(TypeError, match="Worker has no handler on_tock_timeout"):
        node.set_timer("tock", 1.0)
    with pytest.raises(ValueError, match="work 'job' cannot take"):
        node.work("job", seconds)
    if seconds != float("inf"):
        with pytest.raises(ValueError, match="timer 'tick' cannot be set"):
            node.set_timer("tick", seconds)
