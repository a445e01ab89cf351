"""Zones, search and the Wing–Gong–Lowe oracle agree on random histories, with crashes and unknown outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis.checks import ILLEGAL, MODELS, HistoryOperation, Model, check, synthetic
from sim.analysis.checks.columns import History
from sim.analysis.checks.linearizability import initial_codes
from sim.analysis.checks.oracle import wing_gong_lowe
from sim.analysis.checks.reductions import drop_unseen
from sim.analysis.checks.search import search
from sim.analysis.checks.zones import judge_zones

STATUS = st.sampled_from(["ok"] * 7 + ["info"] * 2 + ["fail"])


@st.composite
def registers(draw: st.DrawFn, unique: bool) -> pd.DataFrame:
    """Up to nine operations of up to four processes on one register; times on a coarse grid, so that ties occur."""
    count = draw(st.integers(1, 9))
    values = st.integers(1, 3)
    clock = [0] * 4
    rows = []
    for i in range(count):
        process = draw(st.integers(0, 3))
        call = clock[process] + draw(st.integers(0, 2))
        end = clock[process] = call + draw(st.integers(0, 4))
        kind = draw(st.sampled_from(["read", "read", "write", "write", "cas"]))
        written = i + 1 if unique else draw(values)
        seen = draw(st.one_of(st.none(), st.integers(1, count) if unique else values))
        value: Any = seen if kind == "read" else written if kind == "write" else [seen, written]
        rows.append((process, kind, "x", value, call, end, draw(STATUS)))
    return as_frame(rows)


def as_frame(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["process", "kind", "key", "value", "called", "returned", "status"])
    frame["value"] = pd.Series([row[3] for row in rows], dtype=object)
    return frame


def binding(history: History, model: Model, mismatch: bool) -> list[HistoryOperation]:
    operations = [history.operation(row) for row in range(len(history))]
    return [
        op
        for op in operations
        if (op.status == "ok" or (op.status == "fail" and mismatch and op.kind == "cas"))
        or (op.status == "info" and op.kind not in model.reads)
    ]


def assert_explains(model: Model, operations: Sequence[HistoryOperation], order: Sequence[int]) -> None:
    """An order is a linearization: legal, all answered operations once, real time and processes respected."""
    by_row = {op.row: op for op in operations}
    assert len(set(order)) == len(order)
    assert {op.row for op in operations if op.known} <= set(order)
    state: Any = model.initial
    for row in order:
        state = model.step(state, by_row[row])
        assert state is not ILLEGAL
    for i, later in enumerate(order):
        for earlier in order[:i]:
            a, b = by_row[earlier], by_row[later]
            assert not b.returned < a.called
            if a.process == b.process and b.returned == a.called and b.known:
                assert (b.returned, b.called, b.row) > (a.returned, a.called, a.row)


def assert_agreement(frame: pd.DataFrame, mismatch: bool) -> bool:
    model = MODELS["cas-register"]
    history = History.of(frame)
    operations = binding(history, model, mismatch)
    expected = wing_gong_lowe(model, operations)
    zones = judge_zones(history, initial_codes(history, model, None), mismatch=mismatch, witness=True)
    if zones.violation is not None or zones.judged[0]:
        assert (zones.violation is None) == expected, zones.violation
        if expected and zones.order is not None:
            assert_explains(model, operations, zones.order.tolist())
    found = search(model, operations, None, 10**6, witness=True)
    assert found.valid == expected
    if found.order is not None:
        assert_explains(model, operations, [operations[i].row for i in found.order])
    if not mismatch:
        assert search(model, drop_unseen(operations), None, 10**6).valid == expected
    verdict = check(frame, model=model, failed_cas="mismatch" if mismatch else "drop")
    if verdict.valid is None:  # nothing contradicts the model, and nothing speaks for it
        assert expected, str(verdict)
        assert verdict.reason.startswith("No evidence")
        assert not (frame["status"] == "ok").any()
    else:
        assert verdict.valid == expected, str(verdict)
    if not expected:
        assert_small(frame, verdict.reason, [op.row for op in verdict.counterexample], mismatch)
    return expected


def assert_small(frame: pd.DataFrame, reason: str, rows: list[int], mismatch: bool) -> None:
    """The counterexample alone is contradictory (where it does not rest on what came before it)."""
    assert rows
    if "whatever the order" not in reason:
        part = frame.iloc[rows].reset_index(drop=True)
        assert check(part, model="cas-register", failed_cas="mismatch" if mismatch else "drop").valid is False


@settings(max_examples=50)
@given(registers(unique=True), st.booleans())
def test_zones_search_and_oracle_agree_where_values_are_unique(frame: pd.DataFrame, mismatch: bool) -> None:
    assert_agreement(frame, mismatch)


@settings(max_examples=50)
@given(registers(unique=False), st.booleans())
def test_search_and_oracle_agree_where_values_repeat(frame: pd.DataFrame, mismatch: bool) -> None:
    assert_agreement(frame, mismatch)


def atomic(seed: int) -> tuple[pd.DataFrame, bool]:
    """A history of an atomic register, sometimes with a stale read: close to the border between valid and not."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 16))
    frame = synthetic(
        n,
        clients=int(rng.integers(1, 6)),
        mix={"read": 0.5, "write": 0.3, "cas": 0.2},
        values=None if rng.random() < 0.5 else int(rng.integers(2, 4)),
        unknown=float(rng.choice([0.0, 0.2])),
        stale=float(rng.choice([0.0, 0.3])),
        seed=seed,
    )
    if rng.random() < 0.5:  # on a grid: ties
        frame["called"] = np.floor(frame["called"])
        frame["returned"] = np.maximum(np.floor(frame["returned"]), frame["called"])
    return frame.drop(columns=["key", "result"]).assign(key="x"), bool(rng.random() < 0.3)


def test_histories_of_an_atomic_register_agree_too() -> None:
    verdicts = [assert_agreement(*atomic(seed)) for seed in range(120)]
    assert 0.2 < np.mean(verdicts) < 0.95  # the sample has both kinds


@pytest.mark.nightly
def test_twenty_thousand_histories() -> None:
    settings(max_examples=7000)(given(registers(unique=True), st.booleans())(assert_agreement_only))()
    settings(max_examples=7000)(given(registers(unique=False), st.booleans())(assert_agreement_only))()
    for seed in range(10_000, 16_000):
        assert_agreement(*atomic(seed))
    for model in KINDS:
        agree_on(model, range(1000, 6000))


def assert_agreement_only(frame: pd.DataFrame, mismatch: bool) -> None:
    assert_agreement(frame, mismatch)


# Other data types: the search against the oracle

KINDS = {
    "key-value": ["get", "put", "append", "increment", "delete", "cas"],
    "counter": ["read", "increment"],
    "set": ["add", "remove", "read"],
    "queue": ["enqueue", "dequeue"],
}


def other(model: str, seed: int) -> list[HistoryOperation]:
    """Operations whose replies come from a random order of them, and are sometimes spoilt."""
    rng = np.random.default_rng(seed)
    operations: list[HistoryOperation] = []
    clock = [0] * 3
    state: Any = MODELS[model].initial
    for row in range(int(rng.integers(2, 8))):
        process = int(rng.integers(3))
        call = clock[process] + int(rng.integers(0, 2))
        end = clock[process] = call + int(rng.integers(0, 5))
        kind = str(rng.choice(KINDS[model]))
        word: Any = (
            int(rng.integers(1, 3))
            if kind in {"increment", "put"} and model != "set"
            else str(rng.integers(2))
        )
        value, result = reply(model, kind, word, state, rng)
        status = "info" if rng.random() < 0.2 else "ok"
        op = HistoryOperation(row, process, kind, "x", value, result, float(call), float(end), status)
        operations.append(op)
        after = MODELS[model].step(state, op)
        state = state if after is ILLEGAL else after
    return [
        HistoryOperation(o.row, o.process, o.kind, o.key, o.value, o.result, o.called, float("inf"), o.status)
        if o.status == "info"
        else o
        for o in operations
        if o.known or o.kind not in MODELS[model].reads
    ]


def reply(model: str, kind: str, word: Any, state: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    spoilt = rng.random() < 0.15
    if kind in {"get", "read"}:
        seen = word if spoilt and model != "set" else state
        return (tuple(sorted(seen)) if model == "set" else seen), None
    if kind == "cas":
        return (word if spoilt else state, "c"), None
    if kind == "dequeue":
        return (word if spoilt else (state[0] if state else None)), None
    if kind == "increment":
        amount = word if isinstance(word, int) else 1
        known = isinstance(state, int | float | None) and rng.random() < 0.5
        return amount, ((state or 0) + amount + spoilt if known else None)
    if kind in {"add", "remove"}:
        return word, (bool((word in state) == (kind == "remove")) ^ spoilt if rng.random() < 0.5 else None)
    return (None if kind == "delete" else word), None


@pytest.mark.parametrize("model", KINDS)
def test_search_and_oracle_agree_on_other_data_types(model: str) -> None:
    assert agree_on(model, range(200)) == {True, False}


APPEND_LOG = ["append"] * 3 + ["get"] * 2 + ["put", "delete", "cas", "increment"]


def append_log(seed: int) -> list[HistoryOperation]:
    """Many appends at once beside what replaces them; in what is read, letters sometimes change places."""
    rng = np.random.default_rng(seed)
    clock = [0.0] * int(rng.integers(2, 6))
    places = []
    for letter in "abcdefghi"[: int(rng.integers(3, 10))]:
        process = int(rng.integers(len(clock)))
        call = clock[process] + int(rng.integers(2))
        end = clock[process] = call + int(rng.integers(7))
        places.append((rng.uniform(call, end), process, call, end, letter))
    operations: list[HistoryOperation] = []
    state: Any = None
    for row, (_, process, call, end, letter) in enumerate(sorted(places)):
        kind = str(rng.choice(APPEND_LOG))
        value = {"get": state, "delete": None, "cas": (state, letter), "increment": 1}.get(kind, letter)
        if kind == "get" and isinstance(state, str) and rng.random() < 0.2:
            value = "".join(rng.permutation(list(state)))
        lost = kind != "get" and rng.random() < 0.12
        op = HistoryOperation(
            row,
            process,
            kind,
            "x",
            value,
            None,
            call,
            float("inf") if lost else end,
            "info" if lost else "ok",
        )
        after = MODELS["key-value"].step(state, op)
        if after is ILLEGAL and kind == "increment":
            continue
        operations.append(op)
        if after is not ILLEGAL and not (lost and rng.random() < 0.5):
            state = after
    return operations


def test_search_and_oracle_agree_on_appends_beside_what_replaces_them() -> None:
    found = [(append_log(seed), MODELS["key-value"]) for seed in range(300)]
    verdicts = [search(model, operations, None, 10**6).valid for operations, model in found]
    assert verdicts == [wing_gong_lowe(model, operations) for operations, model in found]
    assert {True, False} == set(verdicts)


def agree_on(model: str, seeds: range) -> set[bool]:
    """The verdicts that were found, all of which must agree."""
    seen = set()
    for seed in seeds:
        operations = other(model, seed)
        expected = wing_gong_lowe(MODELS[model], operations)
        found = search(MODELS[model], operations, MODELS[model].initial, 10**6, witness=True)
        assert found.valid == expected, "\n".join(map(str, operations))
        if found.order is not None:
            assert_explains(MODELS[model], operations, [operations[i].row for i in found.order])
        seen.add(expected)
    return seen
