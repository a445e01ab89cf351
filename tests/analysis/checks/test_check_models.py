"""The effect of each kind of operation on an object."""

from __future__ import annotations

import pytest

from sim.analysis.checks import ILLEGAL, MODELS, HistoryOperation, Model
from sim.analysis.checks.models import choose


def op(kind: str, value: object = None, result: object = None, status: str = "ok") -> HistoryOperation:
    return HistoryOperation(0, 0, kind, "x", value, result, 0.0, 1.0, status)


LEGAL = [
    # model, state, operation, the state after it (ILLEGAL: that reply is impossible)
    ("register", 1, op("read", 1), 1),
    ("register", 1, op("read", 2), ILLEGAL),
    ("register", None, op("read"), None),
    ("register", 1, op("write", 2), 2),
    ("cas-register", 1, op("cas", (1, 2)), 2),
    ("cas-register", 3, op("cas", (1, 2)), ILLEGAL),
    ("cas-register", 3, op("cas", (1, 2), status="fail"), 3),
    ("cas-register", 1, op("cas", (1, 2), status="fail"), ILLEGAL),
    ("cas-register", 3, op("cas", (1, 2), status="info"), ILLEGAL),  # it then never took effect
    ("key-value", None, op("get"), None),
    ("key-value", 1, op("put", "a"), "a"),
    ("key-value", 1, op("delete"), None),
    ("key-value", None, op("append", "a"), "a"),
    ("key-value", "a", op("append", "b"), "ab"),
    ("key-value", (1,), op("append", 2), (1, 2)),
    ("key-value", None, op("append", 2), (2,)),
    ("key-value", 7, op("append", "b"), ILLEGAL),
    ("key-value", None, op("increment", 2, 2), 2),
    ("key-value", 3, op("increment", 2, 5), 5),
    ("key-value", 3, op("increment", 2, 6), ILLEGAL),
    ("key-value", 3, op("increment", 2), 5),  # a reply that was not given binds nothing
    ("key-value", 3, op("increment", 2, 6, "info"), 5),
    ("key-value", "a", op("increment", 2), ILLEGAL),
    ("counter", 0, op("increment", 5), 5),
    ("counter", 5, op("increment", -2, 3), 3),
    ("counter", 5, op("read", 5), 5),
    ("counter", 5, op("read", 4), ILLEGAL),
    ("set", frozenset(), op("add", 1), frozenset({1})),
    ("set", frozenset({1}), op("add", 1, True), ILLEGAL),
    ("set", frozenset({1}), op("add", 1, False), frozenset({1})),
    ("set", frozenset({1}), op("remove", 1), frozenset()),
    ("set", frozenset(), op("remove", 1, True), ILLEGAL),
    ("set", frozenset({1, 2}), op("read", (2, 1)), frozenset({1, 2})),
    ("set", frozenset({1, 2}), op("read", (1,)), ILLEGAL),
    ("set", frozenset({1, 2}), op("read", (1, 1)), ILLEGAL),
    ("set", frozenset(), op("read", None), frozenset()),
    ("set", frozenset({1}), op("read", 1), ILLEGAL),
    ("queue", (), op("enqueue", 1), (1,)),
    ("queue", (1, 2), op("dequeue", 1), (2,)),
    ("queue", (1, 2), op("dequeue", 2), ILLEGAL),
    ("queue", (), op("dequeue", None), ()),
    ("queue", (1,), op("dequeue", None), ILLEGAL),
    ("queue", (), op("dequeue", 1), ILLEGAL),
    ("queue", (1, 2), op("dequeue", None, status="info"), (2,)),
]


@pytest.mark.parametrize(("model", "state", "operation", "after"), LEGAL, ids=lambda v: str(v)[:40])
def test_step(model: str, state: object, operation: HistoryOperation, after: object) -> None:
    assert operation.kind in (MODELS[model].kinds or ())
    reached = MODELS[model].step(state, operation)
    assert reached is after if after is ILLEGAL else reached == after


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        ([], "register"),
        (["read", "write"], "register"),
        (["get", "put"], "register"),
        (["get", "put", "cas"], "cas-register"),
        (["read", "increment"], "counter"),
        (["get", "increment"], "key-value"),
        (["get", "append", "put"], "key-value"),
        (["delete"], "key-value"),
        (["enqueue", "dequeue"], "queue"),
        (["add", "read"], "set"),
    ],
)
def test_auto_takes_the_narrowest_model_that_knows_all_kinds(kinds: list[str], name: str) -> None:
    assert choose("auto", kinds).name == name


def test_no_model_for_a_mixture() -> None:
    with pytest.raises(ValueError, match=r"enqueue, put"):
        choose("auto", ["put", "enqueue"])
    with pytest.raises(ValueError, match="'stack' is no data model"):
        choose("stack", ["put"])


def test_initial_states_are_given_null_or_per_key() -> None:
    kv, bag, counter = MODELS["key-value"], MODELS["set"], MODELS["counter"]
    assert kv.starting(None, "x") is None
    assert kv.starting(0, "x") == 0
    assert kv.starting("", "x") == ""
    assert kv.starting({"x": 1, "7": 2}, "x") == 1
    assert kv.starting({"x": 1, "7": 2}, 7) == 2
    assert kv.starting({"x": 1}, "y") is None
    assert MODELS["register"].starting([1, 2], "x") == (1, 2)
    assert bag.starting([1, 2], "x") == frozenset({1, 2})
    assert counter.starting(4, "x") == 4
    with pytest.raises(ValueError, match="a list, not 3"):
        bag.starting(3, "x")
    with pytest.raises(ValueError, match="a number, not 'a'"):
        counter.starting("a", "x")


def test_a_model_of_ones_own_is_taken_as_it_is() -> None:
    mine = Model(0, lambda state, operation: ILLEGAL)
    assert choose(mine, ["anything"]) is mine
    with pytest.raises(TypeError, match="compare it with `is`"):
        bool(ILLEGAL)
