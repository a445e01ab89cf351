"""With checking on, state that nodes share beside their messages is an error; what hosts give them is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sim import Scenario, System, protocols
from sim.cluster import Cluster
from sim.network import constant
from sim.node import Node, Part, durable_map, message, part
from sim.protocols.kv import KeyValueStore
from sim.system import Member
from sim.workload import ClosedLoop, Mix, UniformKeys

COMMON: dict[str, list[int]] = {}
COUNT = 0
READ_ONLY = {"a": [1]}


@message
class Bump:
    n: int


class Slotted:
    __slots__ = ("content",)

    def __init__(self) -> None:
        self.content: list[int] = []


class Plain:
    def __init__(self) -> None:
        self.content = 1


class Counter(Node):
    """Handles a message, and keeps what it is told to keep."""

    table = durable_map()

    def on_start(self) -> None:
        self.own: dict[str, Any] = {"a": [1, {2}]}
        self.kept: Any = None

    def on_bump(self, src: str, msg: Bump) -> None:
        self.table[src] = msg.n


def cluster(kind: type[Node], count: int = 3) -> Cluster:
    made = Cluster(constant(0.010), checking=True)
    for i in range(count):
        made.add(Member(f"n{i}", kind), place="lan")
    made.boot()
    return made


SHARED: list[Callable[[], Any]] = [
    dict,
    list,
    deque,
    bytearray,
    KeyValueStore,
    Slotted,
    Plain,
    lambda: {1: 2},
    lambda: np.zeros(3),
    lambda: {1, 2},
]


@pytest.mark.parametrize(
    ("make", "inside"),
    [
        *((make, lambda v: v) for make in SHARED),
        (list, lambda v: (1, v)),
        (list, lambda v: {"deep": [v]}),
        (list, lambda v: Bump(v)),
    ],
)
def test_a_mutable_object_in_two_nodes_is_an_error(
    make: Callable[[], Any], inside: Callable[[Any], Any]
) -> None:
    made, value = cluster(Counter), make()
    made.nodes["n0"].__dict__["kept"] = value
    made.nodes["n2"].__dict__["own"]["b"] = inside(value)
    text = rf"n0 and n2 share a mutable {type(value).__name__}: Counter.kept of n0 and Counter.own\['b'\]"
    if inside(1) == Bump(1):
        text = "n0 and n2 share a mutable"  # Bump.n is annotated as a number, so another one looks into it
        made.nodes["n2"].__dict__["own"]["b"] = (value,)
    with pytest.raises(TypeError, match=text):
        made.finish()


@pytest.mark.parametrize(
    "value", [(1, (2,)), "a", frozenset({1}), Bump(1), range(3), None, len, int, object()]
)
def test_an_immutable_value_may_be_in_many_nodes(value: Any) -> None:
    made = cluster(Counter)
    for node in made.nodes.values():
        node.__dict__["kept"] = [value]
    made.finish()


def test_the_object_of_another_node_is_no_attribute() -> None:
    made = cluster(Counter)
    made.nodes["n0"].__dict__["friend"] = made.nodes["n1"]
    with pytest.raises(TypeError, match="n0 and n1 share a mutable Counter"):
        made.finish()


def test_state_that_survives_a_crash_without_the_disk_is_an_error() -> None:
    made = cluster(Counter)
    before = made.nodes["n0"].__dict__["own"]
    made.crash("n0")
    made.restart("n0")
    made.nodes["n0"].__dict__["own"] = before
    with pytest.raises(TypeError, match="two incarnations of n0 share a mutable dict"):
        made.finish()


def test_a_crash_and_a_restart_from_the_disk_share_nothing() -> None:
    made = cluster(Counter)
    made.nodes["n1"].send("n0", Bump(1))
    made.env.run(until=0.1)
    made.crash("n0")
    made.restart("n0")
    assert made.nodes["n0"].__dict__["table"] == {"n1": 1}
    made.finish()


class Settings(Node):
    """A node may keep objects that its host provides."""

    def on_start(self) -> None:
        self.mine = self.settings
        self.inner = self.settings["list"]
        self.sleeping = self.sleep(1.0)


def test_what_the_host_gives_all_nodes_may_be_kept_by_all() -> None:
    made = Cluster(constant(0.010), checking=True)
    settings: Any = {"list": [1]}
    for i in range(3):
        made.add(Member(f"n{i}", Settings), place="lan", settings=settings)
    made.boot()
    made.finish()


# Parts


class Memory(Part):
    def on_start(self) -> None:
        self.seen: list[int] = []


class WithPart(Node):
    memory = part(Memory)


def test_parts_belong_to_their_node() -> None:
    made = cluster(WithPart)
    made.finish()
    nodes: Any = made.nodes
    nodes["n1"].memory.seen = nodes["n0"].memory.seen
    with pytest.raises(TypeError, match=r"WithPart.memory.seen of n0 and WithPart.memory.seen of n1"):
        made.finish()


# Globals, defaults, attributes of the class


class UsesGlobal(Node):
    def on_bump(self, src: str, msg: Bump) -> None:
        COMMON.setdefault("a", []).append(msg.n)


class UsesNestedGlobal(Node):
    def on_bump(self, src: str, msg: Bump) -> None:
        remember(msg.n)


def remember(n: int) -> None:
    COMMON.setdefault("a", []).append(n)


class Counts(Node):
    def on_bump(self, src: str, msg: Bump) -> None:
        global COUNT
        COUNT += 1


class UsesDefault(Node):
    def on_bump(self, src: str, msg: Bump) -> None:
        self.keep(msg.n)

    def keep(self, n: int, into: list[int] = []) -> None:  # noqa: B006
        into.append(n)


class UsesClass(Node):
    total = 0

    def on_bump(self, src: str, msg: Bump) -> None:
        type(self).total += msg.n


class AddsToClass(Node):
    def on_bump(self, src: str, msg: Bump) -> None:
        type(self).data = {}  # type: ignore[attr-defined]


class Reads(Node):
    def on_bump(self, src: str, msg: Bump) -> None:
        self.last = READ_ONLY["a"], COUNT


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (UsesGlobal, r"the global COMMON of .*, which UsesGlobal.on_bump uses, has changed"),
        (UsesNestedGlobal, r"the global COMMON of .*, which UsesNestedGlobal.on_bump uses, has changed"),
        (Counts, r"the global COUNT of .*, which Counts.on_bump uses, has changed"),
        (UsesDefault, r"a default argument, which UsesDefault.keep uses, has changed"),
        (UsesClass, r"the attribute UsesClass.total of the class, .* has changed"),
        (AddsToClass, r"the attribute AddsToClass.data was given to the class during the run"),
    ],
)
def test_what_the_code_of_a_node_keeps_beside_it_must_not_change(kind: type[Node], text: str) -> None:
    made = cluster(kind)
    made.nodes["n0"].send("n1", Bump(1))
    made.env.run()
    with pytest.raises(TypeError, match=text):
        made.finish()


def test_what_the_code_of_a_node_only_reads_is_no_mistake() -> None:
    made = cluster(Reads)
    made.nodes["n0"].send("n1", Bump(1))
    made.env.run()
    made.finish()


class Chatter(Node):
    """Talks for ever, with a list that all have."""

    def on_start(self) -> None:
        self.said = self.settings_of_all()
        self.broadcast(Bump(1))

    def settings_of_all(self, common: list[int] = []) -> list[int]:  # noqa: B006
        return common

    def on_bump(self, src: str, msg: Bump) -> None:
        self.send(src, msg)


def test_sharing_is_found_while_the_run_goes_on() -> None:
    with pytest.raises(TypeError, match="n0 and n1 share a mutable list"):
        cluster(Chatter).env.run(until=60.0)


def test_nothing_is_asked_when_checking_is_off() -> None:
    made = Cluster(constant(0.010))
    for i in range(2):
        made.add(Member(f"n{i}", Counter), place="lan")
    made.boot()
    made.nodes["n0"].__dict__["kept"] = made.nodes["n1"].__dict__["kept"] = []
    made.finish()


def systems() -> list[type[System]]:
    named = [getattr(protocols, name) for name in protocols.__all__]
    return [kind for kind in named if isinstance(kind, type) and issubclass(kind, System)]


@pytest.mark.parametrize("kind", systems(), ids=lambda kind: kind.__name__)
def test_no_system_of_the_library_is_accused(kind: type[System]) -> None:
    system = kind()
    load = ClosedLoop(
        clients=2, think=0.01, mix=Mix(dict.fromkeys(sorted(system.operations), 1.0), UniformKeys(3))
    )
    Scenario(system=system, network=constant(0.010), workload=load, duration=1.0, check=True).run(seed=1)
