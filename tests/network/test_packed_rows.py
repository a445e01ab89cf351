"""Packed rows are a list of rows, in a quarter of the memory; the compiled links write them as the others would."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sim.cluster import Cluster
from sim.engine import COMPILED
from sim.network import lan
from sim.node import Node, message
from sim.packed_rows import PackedRows
from sim.system import Member

times = st.one_of(
    st.floats(), st.integers(), st.just(Fraction(1, 3)), st.none()
)  # as a simulation may have them, or a log of another program
sizes = st.one_of(st.integers(0, 2000), st.integers(), st.floats(0.0, 9.0))
texts = st.sampled_from(["n0", "n1", "Ping", "delivered", "lost", "crashed", "cut", ""])
rows = st.lists(st.tuples(texts, texts, texts, times, times, texts, sizes), max_size=6)


def same(held: PackedRows, given: list[tuple[Any, ...]]) -> bool:
    some = [held[at] for at in range(-len(held), len(held))], held[1:]
    return repr((list(held), *some)) == repr((given, given + given, given[1:]))


@given(rows, rows, st.integers(0, 8))
def test_rows_come_back_as_they_were_given(first: Any, more: Any, kept: int) -> None:
    held = PackedRows()
    for row in first:
        held.append(row)
    assert same(held, first)
    held += more
    assert same(held, first + more)
    del held[kept:]
    assert same(held, (first + more)[:kept])
    held += more
    assert same(held, (first + more)[:kept] + more)


@message
class Letter:
    text: str


class Post(Node):
    def on_letter(self, src: str, msg: Letter) -> None:
        if len(msg.text) < 900:
            self.send(src, Letter(f"{msg.text}."))


def test_a_row_of_a_traced_run_takes_less_than_a_hundred_bytes() -> None:
    made = Cluster(lan(0.25), 1, tracing=True)
    for name in ("a", "b"):
        made.add(Member(name, Post), place="lan")
    made.boot()
    made.nodes["a"].send("b", Letter(""))  # at the time 0, which is an int
    made.env.run()
    found = list(made.recorder.messages)
    assert len(found) == 901
    assert found[0] == ("Letter", "a", "b", 0, 0.25, "delivered", 54)
    assert type(found[0][3]) is int
    assert found[3] == ("Letter", "b", "a", 0.75, 1.0, "delivered", 57)
    assert type(found[3][6]) is int
    if COMPILED:
        held = made.recorder.messages
        assert sys.getsizeof(held.numbers) / len(held) < 100
        assert held.odd.keys() == {0}


def test_what_was_not_delivered_has_no_time() -> None:
    made = Cluster(lan(0.25, loss=1.0), 1, tracing=True)
    for name in ("a", "b"):
        made.add(Member(name, Post), place="lan")
    made.boot()
    made.env.run(until=0.5)
    made.nodes["a"].send("b", Letter("."))
    ((*before, delivered, fate, size),) = made.recorder.messages
    assert (before, fate, size) == (["Letter", "a", "b", 0.5], "lost", 55)
    assert math.isnan(delivered)
