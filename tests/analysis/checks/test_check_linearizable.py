"""Linearizability by examples: what a person would work out on paper."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from sim.analysis.checks import ILLEGAL, HistoryOperation, Model, Verdict, check, linearizable, synthetic

Row = tuple[Any, ...]


def history(*rows: Row) -> pd.DataFrame:
    """Rows of (process, kind, key, value, call, return[, status[, result]]); return None: never answered."""
    full = [(*row, *("ok", None)[len(row) - 6 :]) if len(row) < 8 else row for row in rows]
    full = [(*row[:5], math.nan if row[5] is None else row[5], *row[6:]) for row in full]
    names = ["process", "kind", "key", "value", "called", "returned", "status", "result"]
    frame = pd.DataFrame(full, columns=names)
    for name in ("value", "result"):
        frame[name] = pd.Series([row[names.index(name)] for row in full], dtype=object)
    return frame


W, R, C = "write", "read", "cas"
CASES = {
    "a read after a write sees it": (True, [(0, W, "x", 1, 0, 1), (1, R, "x", 1, 2, 3)]),
    "a read after a write misses it": (False, [(0, W, "x", 1, 0, 1), (1, R, "x", None, 2, 3)]),
    "a concurrent read may miss a write": (True, [(0, W, "x", 1, 0, 2), (1, R, "x", None, 1, 3)]),
    "a concurrent read may see a write": (True, [(0, W, "x", 1, 0, 2), (1, R, "x", 1, 1, 3)]),
    "new-old inversion": (
        False,
        [(0, W, "x", 1, 0, 9), (1, R, "x", 1, 1, 2), (2, R, "x", None, 3, 4)],
    ),
    "a stale read among writes": (
        False,
        [(0, W, "x", 1, 0, 1), (0, W, "x", 2, 2, 3), (1, R, "x", 1, 4, 5)],
    ),
    "thin air": (False, [(0, R, "x", 7, 0, 1)]),
    "a read before its write": (False, [(0, R, "x", 1, 0, 1), (1, W, "x", 1, 2, 3)]),
    "keys are independent": (True, [(0, W, "x", 1, 0, 1), (0, R, "y", None, 2, 3)]),
    "an unknown write may have happened": (
        True,
        [(0, W, "x", 1, 0, None, "info"), (1, R, "x", 1, 5, 6)],
    ),
    "an unknown write may not have happened": (
        True,
        [(0, W, "x", 1, 0, None, "info"), (1, R, "x", None, 5, 6)],
    ),
    "an unknown write may happen late": (
        True,
        [(0, W, "x", 1, 0, None, "info"), (1, R, "x", None, 5, 6), (1, R, "x", 1, 7, 8)],
    ),
    "an unknown write happens at most once": (
        False,
        [
            (0, W, "x", 1, 0, None, "info"),
            (1, W, "x", 2, 1, 2),
            (1, R, "x", 1, 3, 4),
            (1, W, "x", 3, 5, 6),
            (1, R, "x", 1, 7, 8),
        ],
    ),
    "a time of return means nothing where the outcome is unknown": (
        True,
        [(0, W, "x", 1, 0, 1, "info"), (1, R, "x", None, 5, 6), (1, R, "x", 1, 7, 8)],
    ),
    "a failed write never happened": (
        False,
        [(0, W, "x", 1, 0, 1, "fail"), (1, R, "x", 1, 2, 3)],
    ),
    "a read without an answer constrains nothing": (
        True,
        [(0, W, "x", 1, 0, 1), (1, R, "x", None, 2, None, "info"), (2, R, "x", 9, 2, 3, "fail")],
    ),
    "equal times are concurrent": (True, [(0, W, "x", 1, 0, 1), (1, R, "x", None, 1, 2)]),
    "equal times of one process are in its order": (
        False,
        [(0, W, "x", 1, 0, 1), (0, R, "x", None, 1, 2)],
    ),
    "equal times of one process, values repeated": (
        False,
        [(0, W, "x", 1, 0, 1), (1, W, "x", 1, 0, 1), (0, R, "x", None, 1, 2)],
    ),
    "cas chain": (
        True,
        [(0, C, "x", [None, 1], 0, 3), (1, C, "x", [1, 2], 0, 3), (2, R, "x", 2, 4, 5)],
    ),
    "cas chain against time": (
        False,
        [(1, C, "x", [1, 2], 0, 1), (0, C, "x", [None, 1], 2, 3)],
    ),
    "two cas replace one value": (
        False,
        [(0, C, "x", [None, 1], 0, 9), (1, C, "x", [None, 2], 0, 9)],
    ),
    "cas in a circle": (False, [(0, C, "x", [1, 2], 0, 9), (1, C, "x", [2, 1], 0, 9)]),
    "a write between two chained cas": (
        False,
        [
            (0, W, "x", 1, 0, 1),
            (0, R, "x", 1, 2, 3),
            (0, C, "x", [1, 2], 4, 9),
            (1, W, "x", 5, 4, 9),
            (2, R, "x", 5, 5, 6),
            (2, R, "x", 1, 7, 8),
        ],
    ),
    "an unknown cas whose value was seen happened": (
        True,
        [(0, W, "x", 1, 0, 1), (1, C, "x", [1, 2], 2, None, "info"), (2, R, "x", 2, 5, 6)],
    ),
    "an unknown cas needs what it expected": (
        False,
        [(0, W, "x", 1, 0, 1), (1, C, "x", [3, 2], 2, None, "info"), (2, R, "x", 2, 5, 6)],
    ),
    "repeated values: one write suffices for two reads": (
        True,
        [(0, W, "x", 1, 0, 1), (0, W, "x", 1, 2, 3), (1, R, "x", 1, 0, 9)],
    ),
    "repeated values: the old one is gone": (
        False,
        [(0, W, "x", 1, 0, 1), (0, W, "x", 1, 2, 3), (0, W, "x", 2, 4, 5), (1, R, "x", 1, 6, 7)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_example(name: str) -> None:
    valid, rows = CASES[name]
    verdict = check(history(*rows))
    assert verdict.valid is valid, str(verdict)
    assert bool(verdict.counterexample) is not valid
    if valid:
        assert_order(history(*rows), check(history(*rows), witness=True))


def assert_order(frame: pd.DataFrame, verdict: Verdict) -> None:
    """Every answered operation is in the order, once, and real time is respected key by key."""
    order = list(verdict.order or ())
    assert len(set(order)) == len(order)
    answered = frame.index[(frame["status"] == "ok")]
    assert set(answered) - set(order) == set()
    for i, a in enumerate(order):
        for b in order[i + 1 :]:
            if frame["key"][a] == frame["key"][b] and frame["status"][b] == "ok":
                assert not frame["returned"][b] < frame["called"][a]


@pytest.mark.parametrize(
    ("failed_cas", "valid"),
    [("drop", True), ("mismatch", False)],
)
def test_a_failed_cas_may_assert_a_mismatch(failed_cas: Any, valid: bool) -> None:
    frame = history((0, W, "x", 1, 0, 1), (1, C, "x", [1, 2], 2, 3, "fail"), (2, R, "x", 1, 4, 5))
    assert check(frame, failed_cas=failed_cas).valid is valid


def test_with_mismatch_an_unseen_unknown_write_still_matters() -> None:
    frame = history((9, W, "x", 7, 0, None, "info"), (1, C, "x", [None, 2], 2, 3, "fail"))
    assert check(frame, failed_cas="mismatch").ok


def test_a_cas_answered_with_false_did_not_happen() -> None:
    frame = history((0, W, "x", 1, 0, 1), (1, C, "x", [1, 2], 2, 3, "ok", False), (2, R, "x", 1, 4, 5))
    assert check(frame).ok
    assert check(frame, failed_cas="mismatch").valid is False


@pytest.mark.parametrize("initial", [None, 0, "", [1], "given"])
def test_the_initial_value_may_be_anything(initial: Any) -> None:
    frame = history((0, R, "x", initial, 0, 1), (0, W, "x", 5, 2, 3), (0, R, "x", 5, 4, 5))
    assert check(frame, initial=initial).ok
    assert check(frame, initial="another").valid is False


def test_a_read_of_an_initial_value_that_was_not_given_gets_a_hint() -> None:
    assert "pass initial=0" in check(history((0, R, "x", 0, 0, 1))).reason


def test_writing_the_initial_value_again_is_a_repeated_value() -> None:
    rows = [(0, W, "x", 1, 0, 1), (0, W, "x", None, 2, 3), (0, R, "x", None, 4, 5)]
    assert check(history(*rows)).ok
    assert check(history(*rows, (0, W, "x", 2, 6, 7), (0, R, "x", None, 8, 9))).valid is False


KEY_VALUE = {
    "append in order": (True, [("append", "a", 0, 1), ("append", "b", 2, 3), ("get", "ab", 4, 5)]),
    "append out of order": (False, [("append", "a", 0, 1), ("append", "b", 2, 3), ("get", "ba", 4, 5)]),
    "append lost": (False, [("append", "a", 0, 1), ("append", "b", 2, 3), ("get", "b", 4, 5)]),
    "repeated appends are told apart by number only": (
        True,
        [("append", "a", 0, 9), ("append", "a", 0, 9), ("get", "a", 1, 2), ("get", "aa", 3, 4)],
    ),
    "delete": (True, [("put", 1, 0, 1), ("delete", None, 2, 3), ("get", None, 4, 5)]),
    "a deleted value is back": (False, [("put", 1, 0, 1), ("delete", None, 2, 3), ("get", 1, 4, 5)]),
    "put over append": (
        True,
        [("append", "a", 0, 9), ("put", "z", 0, 9), ("append", "b", 0, 9), ("get", "zb", 10, 11)],
    ),
    "a scan constrains nothing": (True, [("put", 1, 0, 1), ("scan", [["x", 5]], 2, 3)]),
}


@pytest.mark.parametrize("name", KEY_VALUE)
def test_key_value_example(name: str) -> None:
    valid, rows = KEY_VALUE[name]
    frame = history(*((i, kind, "x", value, call, end) for i, (kind, value, call, end) in enumerate(rows)))
    assert check(frame, model="key-value").valid is valid


OBJECTS = {
    "queue": (True, [("enqueue", 1, 0, 1), ("enqueue", 2, 2, 3), ("dequeue", 1, 4, 5), ("dequeue", 2, 6, 7)]),
    "queue out of order": (False, [("enqueue", 1, 0, 1), ("enqueue", 2, 2, 3), ("dequeue", 2, 4, 5)]),
    "queue twice": (False, [("enqueue", 1, 0, 1), ("dequeue", 1, 2, 3), ("dequeue", 1, 4, 5)]),
    "queue empty": (False, [("enqueue", 1, 0, 1), ("dequeue", None, 2, 3)]),
    "counter": (True, [("increment", 1, 0, 3), ("increment", 1, 0, 3), ("read", 1, 0, 3), ("read", 2, 4, 5)]),
    "counter lost an increment": (False, [("increment", 1, 0, 3), ("increment", 1, 0, 3), ("read", 1, 4, 5)]),
    "set": (True, [("add", 1, 0, 1), ("add", 2, 2, 3), ("read", [2, 1], 4, 5)]),
    "set lost an element": (False, [("add", 1, 0, 1), ("add", 2, 2, 3), ("read", [2], 4, 5)]),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_other_objects(name: str) -> None:
    valid, rows = OBJECTS[name]
    frame = history(*((i, kind, "x", value, call, end) for i, (kind, value, call, end) in enumerate(rows)))
    verdict = check(frame)
    assert verdict.valid is valid
    assert verdict.model == name.split()[0]


def test_an_unknown_dequeue_takes_one_element_or_none() -> None:
    rows = [
        (0, "enqueue", "x", 1, 0, 1),
        (0, "enqueue", "x", 2, 2, 3),
        (1, "dequeue", "x", None, 4, None, "info"),
    ]
    assert check(history(*rows, (2, "dequeue", "x", 2, 5, 6))).ok
    assert check(history(*rows, (2, "dequeue", "x", 1, 5, 6))).ok
    assert check(history(*rows, (2, "dequeue", "x", None, 5, 6))).valid is False


def test_a_model_of_ones_own() -> None:
    def bounded(state: int, operation: HistoryOperation) -> Any:
        if operation.kind == "acquire":
            return state + 1 if state < 2 else ILLEGAL
        return state - 1 if state else ILLEGAL

    semaphore = Model(0, bounded, name="semaphore")
    good = [(0, "acquire", "s", None, 0, 1), (1, "acquire", "s", None, 0, 1), (0, "release", "s", None, 2, 3)]
    assert check(history(*good), model=semaphore).ok
    bad = check(history(*good[:2], (2, "acquire", "s", None, 4, 5)), model=semaphore)
    assert bad.valid is False
    assert bad.model == "semaphore"


def test_a_model_of_ones_own_may_tie_keys_together() -> None:
    def transfer(state: tuple[int, int], operation: HistoryOperation) -> Any:
        if operation.kind == "move":
            return (state[0] - 1, state[1] + 1)
        return state if sum(state) == operation.value else ILLEGAL

    bank = Model((5, 5), transfer, reads={"total"}, by_key=False)
    rows = [(0, "move", "a", None, 0, 9), (1, "total", "b", 10, 1, 2), (1, "total", "a", 10, 3, 4)]
    assert check(history(*rows), model=bank).ok
    assert check(history(*rows, (2, "total", "b", 9, 3, 4)), model=bank).valid is False


def test_the_counterexample_is_small_and_still_contradictory() -> None:
    frame = synthetic(2000, clients=5, keys=3, values=4, stale=0.05, mix={"get": 0.5, "put": 0.5}, seed=4)
    verdict = check(frame)
    assert verdict.valid is False
    assert 2 <= len(verdict.counterexample) <= 20
    part = frame.iloc[[op.row for op in verdict.counterexample]]
    assert "whatever the order" in verdict.reason or check(part).valid is False
    assert list(verdict.frame().index) == [op.row for op in verdict.counterexample]


def test_the_budget_is_counted_in_steps_and_verdicts_repeat() -> None:
    frame = synthetic(400, clients=20, values=3, mix={"read": 0.3, "cas": 0.7}, unknown=0.1, seed=1)
    first, again = check(frame, budget=500), check(frame, budget=500)
    assert first == again
    assert first.status == "unknown"
    assert not first.ok
    assert "500 steps" in first.reason


APPENDS = [(process, "append", "x", word, 0, 10 + process) for process, word in enumerate("gdahbjcief")]


@pytest.mark.parametrize(
    ("other", "seen", "valid"),
    [
        (("delete", None), "bicjfhgdea", True),
        (("delete", None), None, True),
        (("delete", None), "i", False),  # all were done before it was called
        (("put", "z"), "z", True),
        (("cas", ("bicjfhgdea", "z")), "bicjfhgdea", True),
    ],
)
def test_ten_appends_at_once_take_few_steps_although_something_replaces_them_later(
    other: tuple[str, Any], seen: Any, valid: bool
) -> None:
    """Each order makes another state: what a later read saw rules out the others before they are made."""
    rows = [*APPENDS, (10, *other[:1], "x", other[1], 30, 50), (11, "get", "x", seen, 40, 60)]
    found = check(history(*rows), model="key-value")
    assert found.valid is valid
    if seen and valid and len(seen) > 1:
        assert found.steps < 500


def test_a_search_that_would_need_too_much_memory_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.analysis.checks.search.MOST_KEPT", 1_000)
    rows = [*APPENDS, (10, "cas", "x", ("bicjfhgdea", "z"), 30, 50)]  # no read says in which order they were
    verdict = check(history(*rows), model="key-value")
    assert verdict.status == "unknown"
    assert "at one time had to be kept in memory" in verdict.reason


def test_an_empty_history_is_no_evidence() -> None:
    assert check(history()).valid is None


def test_columns_that_are_not_needed_may_be_absent() -> None:
    frame = history((0, W, "x", 1, 0, 1), (1, R, "x", 1, 2, 3))
    assert check(frame[["kind", "value", "called", "returned"]]).ok
    with pytest.raises(ValueError, match="needs the columns 'called' and 'returned'"):
        check(frame[["process", "kind", "value"]])
    with pytest.raises(ValueError, match="needs a column 'kind'"):
        check(frame[["process", "value"]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, W, "x", 1, 2, 1), "row 1: it returned before it was called"),
        ((0, W, "x", 1, 2, None), "row 1: it was answered"),
        ((0, W, "x", 1, math.nan, 3), "row 1: it has no time of call"),
        ((0, W, "x", 1, 0, 1, "maybe"), "row 1: status is 'maybe', not one of ok, fail, info"),
        ((0, C, "x", 1, 0, 1), r"row 1: the value of a cas is \[expected, new\], not 1"),
        ((0, "push", "x", 1, 0, 1), "row 1: no data model knows .* push"),
    ],
)
def test_errors_name_the_row_and_the_value(row: Row, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(history((0, W, "x", 9, 0, 1), row))


def test_unknown_names_are_refused() -> None:
    frame = history((0, W, "x", 9, 0, 1))
    with pytest.raises(ValueError, match="'serializable' is no consistency model"):
        check(frame, "serializable")
    with pytest.raises(ValueError, match="'maybe'"):
        check(frame, failed_cas="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="row 0: a queue has no operation 'write'"):
        check(frame, model="queue")


def test_linearizable_is_a_short_form() -> None:
    assert linearizable(history((0, W, "x", 9, 0, 1))) == check(history((0, W, "x", 9, 0, 1)))


def test_several_runs_in_one_frame_are_refused() -> None:
    frame = history((0, W, "x", 9, 0, 1), (0, W, "x", 9, 0, 1)).assign(run=[0, 1])
    with pytest.raises(ValueError, match="several runs"):
        check(frame)
