"""Layers: what is unpacked from one message goes to the handler of the other, within the same step."""

from __future__ import annotations

from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.message import replace
from sim.network import constant
from sim.node import Node, Part, durable, message, part
from sim.system import Member
from sim.testing import Bench


@message
class Envelope:
    origin: str
    content: Any


@message
class Letter:
    value: int


class Layer(Part):
    opened = durable(0)

    @classmethod
    def check_settings(cls, **settings: Any) -> None:
        if settings.get("size", 1) < 1:
            raise ValueError(f"Layer: size must be at least 1, not {settings['size']!r}")

    def on_envelope(self, src: str, msg: Envelope) -> None:
        self.opened += 1
        self.dispatch(msg.origin, msg.content)


class Reader(Node):
    layer = part(Layer)
    read = durable(0)

    def on_start(self) -> None:
        self.senders: list[str] = []

    def on_letter(self, src: str, msg: Letter) -> None:
        self.read += msg.value
        self.senders.append(src)


def test_the_handler_runs_as_if_the_message_came_from_its_origin() -> None:
    bench = Bench(Reader)
    bench.deliver("n1", Envelope("far", Letter(7)))
    assert (bench.node.read, bench.node.layer.opened, bench.node.senders) == (7, 1, ["far"])


def test_what_the_layer_and_the_handler_write_is_one_record() -> None:
    """A crash keeps a prefix of the records: never one of the two writes without the other."""
    kept = set()
    for seed in range(20):
        cluster = Cluster(constant(0.001), seed, checking=True)
        for name in ("a", "b"):
            cluster.add(Member(name, Reader), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
        cluster.boot()
        for _ in range(3):
            cluster.nodes["a"].send("b", Envelope("a", Letter(1)))
        cluster.env.run(until=0.005)
        cluster.crash("b")
        cluster.restart("b")
        b: Any = cluster.nodes["b"]
        assert b.read == b.layer.opened
        kept.add(b.read)
    assert len(kept) > 1


@message
class Unread:
    """No handler takes it."""

    number: int


def test_an_unhandled_message_is_an_error_that_names_it() -> None:
    cluster = Cluster(constant(0.001))
    cluster.add(Member("a", Reader), place="lan")
    cluster.boot()
    cluster.nodes["a"].send("a", Envelope("a", Unread(1)))
    with pytest.raises(TypeError, match=r"a \(Reader\) has no handler for Unread\(.*1\) from a"):
        cluster.env.run(until=1.0)
    with pytest.raises(TypeError, match="Reader has no handler"):
        Bench(Reader).deliver("n1", Envelope("far", Unread(1)))


def test_a_part_refuses_settings_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, not 0"):
        part(Layer, size=0)


def test_a_field_that_is_called_value_can_be_replaced() -> None:
    assert replace(Letter(1), value=2) == Letter(2)
