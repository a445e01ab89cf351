"""One grammar for values, systems and lists on the command line."""

from __future__ import annotations

import contextlib
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.commands.inputs import parse_setting, parse_variation
from sim.faults import Crash
from sim.network import constant
from sim.protocols import MultiPaxos, PhiAccrual, Raft
from sim.workload import OpenLoop, Zipf


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("system=Raft(nodes=3,pre_vote=True),MultiPaxos", [Raft(nodes=3, pre_vote=True), MultiPaxos()]),
        ("duration=3,5.5", [3, 5.5]),
        ("workload.mix='A',B", ["A", "B"]),
        ("name='a, b',\"c (d\"", ["a, b", "c (d"]),
        ("faults=[Crash('n0', at=1), Crash('n1', 2)],[]", [[Crash("n0", at=1), Crash("n1", at=2)], []]),
        ("workload.keys=Zipf(10)", [Zipf(10)]),
        ("workload=OpenLoop(clients={'x': 2}, keys=Zipf(5))", [OpenLoop(clients={"x": 2}, keys=Zipf(5))]),
        ("network=constant(0.01)", [constant(0.01)]),
        ("system.detector=PhiAccrual(threshold=8.0)", [PhiAccrual(threshold=8.0)]),
        ("system.lease=None,0.5", [None, 0.5]),
        ("system=sim.protocols:Raft(nodes=5)", [Raft(nodes=5)]),
        ("leader=virginia", ["virginia"]),
    ],
)
def test_values_are_split_outside_brackets_and_quotes_and_read_by_one_rule(
    text: str, values: list[Any]
) -> None:
    assert parse_variation(text)[1] == values
    if len(values) == 1:
        assert parse_setting(text)[1] == values[0]


TEXTS = st.text(alphabet="ab,()[]{}'\"\\ =", max_size=8)
VALUES = st.recursive(
    st.integers(-99, 99) | st.booleans() | st.none() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2) | st.tuples(inner),
    max_leaves=6,
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_whatever_python_writes_is_read_back(values: list[Any]) -> None:
    assert parse_variation(f"name={','.join(map(repr, values))}") == ("name", values)


@given(st.text(alphabet="ab1,()[]{}'\"= ", max_size=12))
def test_no_text_ends_in_anything_but_a_value_or_a_complaint(text: str) -> None:
    for parse in (parse_setting, parse_variation):
        with contextlib.suppress(click.UsageError):
            assert parse(f"system.leader={text}")[0] == "system__leader"
