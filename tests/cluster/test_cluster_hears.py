"""An invariant is told of the messages that it says it hears, of subclasses of them, and of all if it says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.distributions import Constant
from sim.message import message
from sim.network import constant
from sim.node import Node, durable
from sim.system import Invariant, Member, MessageHooks


@message
class Word:
    n: int


@message
class LongWord(Word):
    letters: int = 20


@message
class Number:
    n: int


class Speaker(Node):
    said = durable(0)

    def on_start(self) -> None:
        if self.name == "n0":
            self.said += 1
            for said in (Word(1), LongWord(2), Number(3)):
                self.send("n1", said)

    def on_word(self, src: str, msg: Word) -> None:
        """It says nothing to that."""

    def on_long_word(self, src: str, msg: LongWord) -> None:
        """Nor to that."""

    def on_number(self, src: str, msg: Number) -> None:
        """Nor to that."""


@dataclass
class Listens(Invariant):
    told: list[tuple[str, int]] = field(default_factory=list)

    def on_wait(self, src: str, dst: str, message: Any) -> None:
        self.told.append(("wait", message.n))

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.told.append(("send", message.n))

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        self.told.append(("deliver", message.n))


class ListensToWords(Listens):
    hears = (Word,)


class ListensToNumbers(ListensToWords):
    def is_told_of(self, kind: type) -> bool:
        return kind is Number


class ListensAgain(ListensToWords):
    """It overrides a hook: what its base class hears says nothing about it."""

    def on_send(self, src: str, dst: str, message: Any) -> None:
        super().on_send(src, dst, message)


class ListensToTheSame(ListensToWords):
    """It overrides no hook for messages."""


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (Listens, [1, 2, 3]),
        (ListensToWords, [1, 2]),
        (ListensToNumbers, [3]),
        (ListensAgain, [1, 2, 3]),
        (ListensToTheSame, [1, 2]),
    ],
)
def test_an_invariant_is_told_of_what_it_hears_when_it_waits_leaves_and_arrives(
    kind: type[Listens], numbers: list[int]
) -> None:
    network = constant(0.001)
    cluster = Cluster(network, checking=True)
    slow = Machine(disk=Disk(fsync=Constant(0.01)))
    for name in ("n0", "n1"):
        cluster.add(Member(name, Speaker), place=network.regions[0], profile=slow)
    invariant = kind()
    cluster.watch([invariant])
    cluster.boot()
    cluster.env.run(until=1.0)
    assert invariant.told == [(when, n) for when in ("wait", "send", "deliver") for n in numbers]


def test_what_an_invariant_hears_is_a_tuple_of_classes() -> None:
    for wrong in (Word, ("Word",)):
        for name, what in (("hears", "messages"), ("steps_of", "nodes")):
            with pytest.raises(TypeError, match=rf"Deaf.{name} is a tuple of classes of {what}, not"):
                type("Deaf", (Invariant,), {name: wrong})


class Louder(Speaker):
    """Another class of nodes."""


@dataclass
class Follows(Invariant):
    steps: list[str] = field(default_factory=list)

    def on_step(self, node: Node) -> None:
        self.steps.append(node.name)


class FollowsLouder(Follows):
    steps_of = (Louder,)


class FollowsAgain(FollowsLouder):
    """It overrides the hook: what its base class follows says nothing about it."""

    def on_step(self, node: Node) -> None:
        super().on_step(node)


class FollowsTheSame(FollowsLouder):
    """It overrides nothing."""


def test_an_invariant_is_told_of_the_steps_of_the_nodes_that_it_names() -> None:
    network = constant(0.001)
    cluster = Cluster(network, checking=True)
    for name, kind in (("n0", Speaker), ("n1", Louder)):
        cluster.add(Member(name, kind), place=network.regions[0])
    every, some, again, same = watched = Follows(), FollowsLouder(), FollowsAgain(), FollowsTheSame()
    cluster.watch(watched)
    cluster.boot()
    cluster.env.run(until=1.0)
    assert every.steps == ["n0", "n1", "n1", "n1", "n1"]
    assert again.steps == every.steps
    assert some.steps == same.steps == ["n1"] * 4


def test_hooks_are_found_once_for_each_class_of_messages() -> None:
    words, numbers = ListensToWords(), ListensToNumbers()
    hooks = MessageHooks("on_send", [words, numbers])
    assert [hook.__self__ for hook in hooks[Word]] == [words]  # type: ignore[attr-defined]
    assert [hook.__self__ for hook in hooks[Number]] == [numbers]  # type: ignore[attr-defined]
    assert hooks[Word] is hooks[Word]
    hooks.take_from([numbers])
    assert [len(hooks[kind]) for kind in (Word, Number)] == [0, 1]
