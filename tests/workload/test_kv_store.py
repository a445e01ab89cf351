"""The key-value state machine: what each command does, once per session, and which commands it has had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.protocols.command import NOOP, Command, Result
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions


def run(*commands: tuple[object, ...]) -> list[Result | None]:
    store = Sessions(KeyValueStore())
    return [store.apply(Command(0, i, *c)) for i, c in enumerate(commands, start=1)]  # type: ignore[arg-type]


def test_each_kind_of_command_does_what_it_says() -> None:
    assert run(
        ("get", "x"),
        ("put", "x", 1),
        ("cas", "x", (1, 2)),
        ("cas", "x", (1, 3)),
        ("get", "x"),
        ("append", "s", "a"),
        ("append", "s", "b"),
        ("get", "s"),
        ("increment", "n", 5),
        ("increment", "n", 2),
        ("delete", "x"),
        ("get", "x"),
        ("scan", "n", 2),
        ("append", "n", "b"),
        ("increment", "s", 1),
    ) == [
        Result("ok", None),
        Result("ok", 1),
        Result("ok", (1, 2)),
        Result("fail", (1, 3), 2),
        Result("ok", 2),
        Result("ok", "a"),
        Result("ok", "b"),
        Result("ok", "ab"),
        Result("ok", 5, 5),
        Result("ok", 2, 7),
        Result("ok"),
        Result("ok", None),
        Result("ok", (("n", 7), ("s", "ab"))),
        Result("fail", "b", "n holds no string"),
        Result("fail", 1, "s holds no number"),
    ]
    with pytest.raises(ValueError, match="unknown kind of command: 'grow'"):
        run(("grow", "x"))


def test_a_retried_command_takes_effect_once_and_gets_the_same_answer() -> None:
    store = Sessions(KeyValueStore())
    first = store.apply(Command(1, 1, "increment", "n", 1))
    again = store.apply(Command(1, 1, "increment", "n", 1))
    assert first == again == Result("ok", 1, 1)
    assert store.application.data == {"n": 1}
    store.apply(Command(1, 2, "increment", "n", 1))
    assert store.apply(Command(1, 1, "increment", "n", 1)) is None
    assert store.application.data == {"n": 2}
    assert store.apply(NOOP) is None


@given(st.lists(st.integers(1, 40), unique=True), st.integers(1, 41))
def test_it_knows_exactly_which_commands_took_effect(numbers: list[int], asked: int) -> None:
    store = Sessions(KeyValueStore())
    for number in sorted(numbers):
        store.apply(Command(3, number, "put", "x", number))
    copy = Sessions(KeyValueStore())
    copy.restore(store.snapshot())
    expected = asked in numbers
    assert store.has_applied(3, asked) is expected
    assert copy.has_applied(3, asked) is expected
    assert store.missing([(3, n) for n in range(1, 42)]) == [(3, n) for n in range(1, 42) if n not in numbers]
    assert copy.snapshot() == store.snapshot()
