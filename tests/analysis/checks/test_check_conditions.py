"""Cheap necessary conditions come before the search: right (never against the oracle), quick, and told in words."""

from __future__ import annotations

import importlib
import re
import sys
import time
import types
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.analysis.checks import CONSISTENCY, MODELS, check, conditions
from sim.analysis.checks.conditions import broken, untimed
from sim.analysis.checks.models import ILLEGAL, Model
from sim.analysis.checks.oracle import interleaves, wing_gong_lowe
from sim.analysis.checks.verdict import HistoryOperation

KINDS: dict[str, list[list[str]]] = {
    "register": [["read", "write"]],
    "cas-register": [["read", "write", "cas"], ["read", "cas"]],
    "key-value": [["get", "put", "cas", "delete"], ["get", "append"], ["get", "increment"]],
    "counter": [["read", "increment"], ["read", "add"]],
    "set": [["read", "add", "remove"]],
    "queue": [["enqueue", "dequeue"]],
}


def value(kind: str, state: Any, spoilt: bool, rng: np.random.Generator, text: bool) -> Any:
    """An argument, or what a read in this state comes back with; spoilt ones are drawn."""
    word: Any = int(rng.integers(1, 4))
    if kind in {"read", "get"}:
        if isinstance(state, frozenset):
            words = [w for w in range(1, 4) if rng.random() < 0.5] if spoilt else sorted(state)
            return tuple(words + words[:1] * (spoilt and rng.random() < 0.1))
        if spoilt and isinstance(state, tuple):
            return (*state[: int(rng.integers(0, 3))], word)
        if spoilt and isinstance(state, str):
            return state + "a"
        return word if spoilt else state
    if kind == "cas":
        return (word if spoilt else state, int(rng.integers(1, 4)))
    if kind == "dequeue":
        return word if spoilt else state[0] if state else None
    if kind in {"increment", "add"} and not isinstance(state, frozenset):
        return int(rng.integers(-1, 3)) if text else int(rng.integers(1, 3))
    if kind == "append":
        return "abc"[word - 1] if text else word
    return None if kind == "delete" else word


def result(kind: str, state: Any, after: Any, spoilt: bool, rng: np.random.Generator) -> Any:
    if rng.random() < 0.5:
        return None
    if isinstance(state, frozenset) and kind in {"add", "remove"}:
        return bool(state != after) ^ (spoilt and rng.random() < 0.5)
    if kind == "increment" and after is not ILLEGAL:
        return after + int(spoilt)
    return None


def drawn(name: str, seed: int, most: int = 8) -> list[HistoryOperation]:
    """Operations on one object: replies of an order of them, some spoilt, some lost; three processes."""
    rng = np.random.default_rng(seed)
    model, kinds = MODELS[name], KINDS[name][seed % len(KINDS[name])]
    text, spoils = bool(rng.random() < 0.5), float(rng.choice([0.0, 0.1, 0.3]))
    state, clock, found = model.initial, [0] * 3, []
    for row in range(int(rng.integers(2, most))):
        process, kind, spoilt = int(rng.integers(3)), str(rng.choice(kinds)), bool(rng.random() < spoils)
        call = clock[process] + int(rng.integers(0, 3))
        clock[process] = end = call + int(rng.integers(0, 5))
        status = "info" if kind not in model.reads and rng.random() < 0.15 else "ok"
        op = HistoryOperation(
            row, process, kind, "x", value(kind, state, spoilt, rng, text), None, call, end, status
        )
        after = model.step(state, op)
        op = replace(op, result=result(kind, state, after, spoilt, rng))
        found.append(replace(op, returned=float("inf")) if status == "info" else op)
        state = state if after is ILLEGAL else after
    return found


def what(reason: str) -> str:
    """The condition that a reason tells of: its words without operations and values."""
    words = re.sub(r"\[[^\]]*\]|\{[^}]*\}|'[^']*'|\d+", "", reason)
    return " ".join(word for word in words.split() if word.isalpha() and word not in {"read", "get", "x"})[
        -40:
    ]


def assert_right(name: str, operations: Sequence[HistoryOperation], start: Any) -> str | None:
    model = MODELS[name]
    found = broken(model, operations, start)
    if found is None:
        return None
    assert not wing_gong_lowe(model, operations, start), (found.reason, operations)
    assert not wing_gong_lowe(model, found.operations, start), (found.reason, found.operations)
    return what(found.reason)


def starts(name: str, seed: int) -> Any:
    if seed % 5:
        return MODELS[name].initial
    return {"set": frozenset({1}), "queue": (1, 2), "counter": 2}.get(
        name, 1 if name != "key-value" else None
    )


def agree(name: str, seeds: range) -> tuple[Counter[str], int]:
    """How often each condition spoke, and how many histories were invalid."""
    told: Counter[str] = Counter()
    invalid = 0
    for seed in seeds:
        operations, start = drawn(name, seed), starts(name, seed)
        spoke = assert_right(name, operations, start)
        told.update([spoke] if spoke else [])
        invalid += bool(spoke) or not wing_gong_lowe(MODELS[name], operations, start)
        least = broken(MODELS[name], untimed(operations), start)
        if least is not None and len(operations) <= 6:
            assert not interleaves(MODELS[name], operations, {"x": start}), (least.reason, operations)
    return told, invalid


@pytest.mark.parametrize("name", KINDS)
def test_no_condition_contradicts_the_oracle_and_many_wrong_histories_break_one(name: str) -> None:
    told, invalid = agree(name, range(400))
    assert invalid > 40
    assert told.total() > invalid / 3, (told, invalid)
    assert len(told) >= 2, told


@pytest.mark.nightly
@pytest.mark.parametrize("name", KINDS)
def test_no_condition_contradicts_the_oracle_in_sixty_thousand_histories(name: str) -> None:
    told, invalid = agree(name, range(10_000, 70_000))
    assert told.total() > invalid / 3


MUTANTS = [
    (
        "register",
        "conditions",
        "found.ends[possible - 1] < newer.called",
        "found.ends[possible - 1] <= newer.called",
    ),
    ("register", "conditions", "bisect_left(self.returns, time)", "bisect_right(self.returns, time)"),
    (
        "register",
        "conditions",
        "bisect_right(found.calls, read.returned)",
        "bisect_left(found.calls, read.returned)",
    ),
    ("register", "conditions", "return first if _held(first) != value else second", "return first"),
    ("cas-register", "conditions", "if len(found) > count:", "if len(found) >= count:"),
    (
        "cas-register",
        "conditions",
        'return op.status != "fail" and op.kind in {"write"',
        'return op.known and op.kind in {"write"',
    ),
    (
        "counter",
        "object_conditions",
        "bisect_left(self._over, op.called)",
        "bisect_right(self._over, op.called)",
    ),
    ("counter", "object_conditions", "self._gained[over] + self._shrink[called]", "self._gained[over]"),
    (
        "counter",
        "object_conditions",
        "if totals[id(older)] > total - own",
        "if totals[id(older)] >= total - own",
    ),
    ("key-value", "object_conditions", "len(older.value or ()) > len(op.value or ())", "True"),
    ("set", "object_conditions", "helper.returned >= against.called", "helper.returned > against.called"),
    ("set", "object_conditions", "if against is None and start == present", "if False"),
    ("set", "object_conditions", '(op.kind == "remove") == op.result', '(op.kind == "add") == op.result'),
    ("queue", "object_conditions", "if count > len(calls)", "if count >= len(calls)"),
    ("queue", "object_conditions", "at = bisect_left(returns, put.called)", "at = len(returns)"),
    ("queue", "object_conditions", "(pair[1] is not None or not lost)", "True"),
]


@pytest.mark.parametrize(("name", "module", "old", "new"), MUTANTS)
def test_a_mutant_of_a_condition_is_caught(
    name: str, module: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"sim.analysis.checks.{module}"
    source = Path(str(importlib.import_module(path).__file__)).read_text(encoding="utf-8")
    assert old in source
    mutant = types.ModuleType(path)
    monkeypatch.setitem(sys.modules, path, mutant)
    exec(compile(source.replace(old, new), path, "exec"), mutant.__dict__)
    if module == "conditions":
        monkeypatch.setitem(globals(), "broken", mutant.broken)
    else:
        for function in ("counter", "lists"):
            monkeypatch.setattr(conditions, function, getattr(mutant, function))
        for model, function in (("counter", "counter"), ("set", "sets"), ("queue", "queue")):
            monkeypatch.setitem(conditions._BY_MODEL, model, getattr(mutant, function))
    with pytest.raises(AssertionError):
        agree(name, range(3_000))


def busy(seed: int = 1) -> pd.DataFrame:
    """Twenty clients on one register, five values, a tenth of the writes lost (shared/cases/thin_air.py)."""
    rng = np.random.default_rng(seed)
    free, names, fresh, events = [0.0] * 20, list(range(20)), 20, []
    for _ in range(3000):
        c = int(np.argmin(free))
        call = free[c] + rng.exponential(0.05)
        point = call + rng.exponential(0.5)
        free[c] = back = point + rng.exponential(0.5)
        kind, word, lost = "read" if rng.random() < 0.5 else "write", int(rng.integers(5)), rng.random() < 0.1
        events.append((point, call, back, names[c], kind, word, bool(lost)))
        if lost:
            names[c], fresh = fresh, fresh + 1
    rows, state = [], None
    for _, call, back, process, kind, word, lost in sorted(events):
        if kind == "write":
            state = word if not lost or rng.random() < 0.5 else state
            rows.append([process, kind, "x", word, call, None if lost else back, "info" if lost else "ok"])
        else:
            rows.append([process, kind, "x", state, call, back, "ok"])
    names_ = ["process", "kind", "key", "value", "called", "returned", "status"]
    return pd.DataFrame(rows, columns=names_, dtype=object)


@pytest.mark.parametrize("name", ["linearizable", "sequential", "regular", "CC", "eventual"])
def test_a_value_that_no_client_wrote_is_found_at_once(name: str) -> None:
    frame = busy()
    frame.loc[frame.index[frame.kind == "read"][-1], "value"] = 99
    start = time.process_time()
    verdict = check(frame, name, budget=200_000)
    assert verdict.valid is False, verdict.reason
    assert len(verdict.counterexample) == 1
    assert time.process_time() - start < 20.0


def test_a_violation_on_one_key_is_found_although_another_takes_the_budget() -> None:
    frame = pd.concat([busy(), busy(2).iloc[:40].assign(key="y")], ignore_index=True)
    row = frame.index[(frame.key == "y") & (frame.kind == "read")][0]
    frame.loc[row, "value"] = 77
    verdict = check(frame, budget=1_000)
    assert (verdict.valid, verdict.counterexample[0].row) == (False, row)


# Plain words


def frames(name: str, seed: int) -> pd.DataFrame:
    rows = [
        (op.process, op.kind, op.key, op.value, op.result, op.called, op.returned, op.status)
        for op in drawn(name, seed, most=9)
    ]
    columns = ["process", "kind", "key", "value", "result", "called", "returned", "status"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


ODD = {1: {"a": [True, None]}, 2: "word", 3: ("t", 1.5)}
CODE = re.compile(
    r"frozenset|None(?! of)|True|False|ILLEGAL|Operation\(|\bdict\b|<[a-z]|<class|object at|np\.|\('|\(\d"
)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("odd", [False, True])
def test_reasons_are_in_plain_words_for_every_data_model_and_consistency(name: str, odd: bool) -> None:
    invalid = 0
    for seed in range(20):
        if seed >= 8 and invalid > 5:
            break
        frame = frames(name, seed)
        if odd and name not in {"counter", "key-value"}:
            for at in frame.index:
                cell = frame.at[at, "value"]
                frame.at[at, "value"] = (
                    [ODD.get(c, c) for c in cell] if isinstance(cell, tuple) else ODD.get(cell, cell)
                )
        for consistency in CONSISTENCY:
            verdict = check(frame, consistency, model=name, budget=20_000)
            invalid += verdict.valid is False
            told = [verdict.reason, *map(str, verdict.counterexample)]
            assert not [text for text in told if CODE.search(text)], told
    assert invalid > 5


# Which model: by what reads saw


def told(*rows: tuple[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame([(kind, "x", at, at + 0.5) for at, (kind, _) in enumerate(rows)])
    frame.columns = pd.Index(["kind", "key", "called", "returned"])
    frame["value"] = pd.Series([value for _, value in rows], dtype=object)
    return frame


@pytest.mark.parametrize(
    ("rows", "model", "valid"),
    [
        ([("add", 5), ("read", 5)], "counter", True),
        ([("add", 5), ("read", 0)], "counter", False),
        ([("add", 5), ("add", -2), ("read", 3)], "counter", True),
        ([("add", 5), ("increment", 2), ("read", 7)], "counter", True),
        ([("add", 5), ("read", [5])], "set", True),
        ([("add", 5), ("read", None)], "set", False),
        ([("read", None), ("add", 5)], "set", True),
        ([("add", 5)], "set", True),
        ([("read", None), ("increment", 1), ("read", 1)], "key-value", True),
        ([("read", 0), ("increment", 1), ("read", 1)], "counter", True),
    ],
)
def test_auto_goes_by_what_reads_saw(rows: list[tuple[str, Any]], model: str, valid: bool) -> None:
    verdict = check(told(*rows))
    assert (verdict.model, verdict.valid) == (model, valid), verdict.reason


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("add", 5), ("read", [5]), ("read", 5)], "row 2: no data model fits"),
        ([("remove", 5), ("read", 5)], "row 1: no data model fits"),
        ([("add", "a"), ("read", 5)], "row 0: reads saw numbers, so this is a counter, but it has add x 'a'"),
    ],
)
def test_a_history_that_fits_no_model_is_refused(rows: list[tuple[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check(told(*rows))


def test_a_model_of_ones_own_has_no_conditions_even_by_a_known_name() -> None:
    mine = Model(0, lambda state, op: state, name="counter")
    assert broken(mine, [HistoryOperation(0, 0, "read", "x", 9, called=0, returned=1)], 0) is None
