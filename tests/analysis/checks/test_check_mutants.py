"""Every checker has mutants, one changed word each, and a corpus of histories on which each of them errs."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sim.analysis.checks as checks
from tests.budget import likely_first

SOURCE = Path(checks.__file__).parent
MUTANTS = [
    # module, text, what replaces it, the model that must notice
    ("columns", "np.where(answered, returned, np.inf)", "returned", "linearizable"),
    ("clusters", "np.minimum.at(self.f", "np.maximum.at(self.f", "linearizable"),
    ("clusters", "np.maximum.at(self.s", "np.minimum.at(self.s", "linearizable"),
    ("clusters", "self.alive = ~unknown", "self.alive = unknown | True", "linearizable"),
    ("clusters", "happened = h.status != FAIL", "happened = h.status == h.status", "linearizable"),
    ("clusters", "self.write_names[1:] == self.write_names[:-1]", "self.write_names[1:] < 0", "linearizable"),
    ("zones", "f[forward[1:]] < s[forward[:-1]]", "f[forward[1:]] > s[forward[:-1]]", "linearizable"),
    ("zones", "s[forward[at[inside]]] > f[backward", "s[forward[at[inside]]] < f[backward", "linearizable"),
    ("zones", "self.f[members[1:]] < latest", "self.f[members[1:]] > latest", "linearizable"),
    ("zones", "self.read_return < self.called", "self.read_return > self.called", "linearizable"),
    ("zones", "clusters.judged &= ~clusters.bad_keys()", "pass", "linearizable"),
    ("states", "CALL, RETURN = 0, 1", "CALL, RETURN = 1, 0", "linearizable"),
    (
        "states",
        "op.result if op.known else None, op.status",
        "op.result if op.known else None",
        "linearizable",
    ),
    ("search", "if not mask & last and not", "if not mask & wanted and not", "linearizable"),
    ("search", "(self.hidden if self.overwrites[i] else 0)", "self.hidden", "linearizable"),
    ("search", "keep = ~(wanted | last)", "keep = -1", "linearizable"),
    ("search", "if before >= 0 and self.owed", "if before < 0 and self.owed", "linearizable"),
    ("search", "(mask | bits) & self.settled[before]", "mask | bits", "linearizable"),
    ("reductions", "if not better & ~cost", "if better & ~cost", "linearizable"),
    ("reductions", 'op.value if op.kind != "cas" else op.value[0]', "op.value", "linearizable"),
    ("reductions", "op.row not in kept and", "op.row in kept and", "linearizable"),
    ("models", "return ILLEGAL if state == expected else state", "return state", "linearizable"),
    ("models", "return new if state == expected else ILLEGAL", "return new", "linearizable"),
    (
        "linearizability",
        "int(history.status[row]), mismatch)",
        "int(history.status[row]), True)",
        "linearizable",
    ),
    ("relations", "return self.place[a] < self.place[b]", "return self.place[a] > self.place[b]", "CC"),
    ("relations", "np.maximum(clock, clocks[source], out=clock)", "pass", "CC"),
    ("relations", "clock[:] = clocks[previous]", "pass", "CC"),
    (
        "causal",
        "relations.lane[source]] > relations.place",
        "relations.lane[source]] < relations.place",
        "CC",
    ),
    ("causal", "if source == INITIAL:\n                path", "if source == 0:\n                path", "CC"),
    ("causal", "or _cyclic_cf(relations, clocks)", "", "CCv"),
    ("causal", "found = found or WriteOrder", "found or WriteOrder", "CM"),
    ("happened_before", "reads.append(grown)", "pass", "CM"),
    (
        "happened_before",
        "if source == INITIAL:\n                    return",
        "if source == 0:\n                    return",
        "CM",
    ),
    ("happened_before", "work.extend((b, c) for c in self._after(b))", "pass", "pram"),
    (
        "sessions",
        "elif key in last and last[key] != relations.source[i]",
        "elif key in last and not key",
        "read-your-writes",
    ),
    (
        "sessions",
        "if key in last and last[key] != source:",
        "if key in last and not source:",
        "monotonic-reads",
    ),
    (
        "sessions",
        "if source >= 0:\n                last[key] = source",
        "if source >= 0:\n                last = {key: source}",
        "monotonic-reads",
    ),
    ("sessions", "if places and places[0] < bound:", "if not places:", "monotonic-writes"),
    ("sessions", "work += [relations.source[i] for", "[relations.source[i] for", "writes-follow-reads"),
    ("sessions", "self.edge(everything, i)", "pass", "writes-follow-reads"),
    ("sessions", "if len(writes) > 1:", "if len(writes) > 2:", "monotonic-reads"),
    ("sequential", "grown |= add(older, source)", "grown |= add(source, older)", "sequential"),
    ("sequential", "grown |= add(read, i)", "grown |= add(i, read)", "sequential"),
    ("interleaving", "if not self.pure[i] or", "if", "sequential"),
    (
        "interleaving",
        "if (positions, states) in seen:",
        "if positions in {p for p, _ in seen}:",
        "sequential",
    ),
    ("interleaving", "return positions[session] >= count", "return False", "sequential"),
    ("regular", "latest_call.append(max(", "latest_call.append(min(", "regular"),
    ("regular", "writes[i].called <= read.returned", "writes[i].called < read.called", "regular"),
    ("regular", "if f >= s and at >= 0 and forward[at][1] > f", "if f >= s and at < 0", "regular"),
    ("eventual", "h.called > last[h.key] + settle", "h.called < last[h.key] + settle", "eventual"),
    ("eventual", "ends = np.where(h.status == INFO, h.called, h.returned)", "ends = h.called", "eventual"),
]


def history(model: str, seed: int) -> tuple[pd.DataFrame, str]:
    """Small histories of two kinds, in turn: an unreliable register, and a crowded one or sessions that disagree."""
    if model not in {"linearizable", "regular"} and seed < len(DIRECTED):
        return by_hand(DIRECTED[seed]), "drop"
    if seed == 0:
        return as_frame(UNHIDDEN), "drop"
    if seed % 2:
        return unreliable(seed)
    return crowded(seed) if model in {"linearizable", "regular", "sequential"} else disagreeing(seed)


# Histories that chance finds too rarely: what must be seen is implied by way of other sessions, or only later.
DIRECTED = [
    {"a": "x=1", "b": "x?1 y=2", "c": "y?2 z=3", "d": "z?3 x?"},
    {"a": "z=1 k=1 n=1", "b": "k=2 m=1", "c": "m?1 z? n?1 k?2"},
]

# A cas looks at what it replaces, so it hides no write.
UNHIDDEN: list[tuple[Any, ...]] = [
    (0, "write", "x", 2, 0, 10, "ok"),
    (1, "write", "x", 2, 0, 10, "ok"),
    (2, "cas", "x", [None, 1], 0, 10, "ok"),
    (3, "read", "x", 1, 11, 12, "ok"),
]


def by_hand(lines: dict[str, str]) -> pd.DataFrame:
    """``{"a": "x=1 y?2"}``: process a writes 1 to x, then reads 2 from y."""
    rows: list[tuple[Any, ...]] = []
    for process, line in lines.items():
        for at, word in enumerate(line.split()):
            kind = "write" if "=" in word else "read"
            key, value = word.split("=" if kind == "write" else "?")
            rows.append((process, kind, key, int(value) if value else None, 2.0 * at, 2.0 * at + 1, "ok"))
    return as_frame(rows)


def crowded(seed: int) -> tuple[pd.DataFrame, str]:
    """An atomic register with many operations open at once and few values; sometimes a reply is stale."""
    rng = np.random.default_rng(seed)
    frame = checks.synthetic(
        16,
        clients=int(rng.integers(3, 8)),
        mix={"read": 0.4, "write": 0.3, "cas": 0.3},
        values=2 + seed % 2,
        unknown=0.12,
        stale=0.12,
        seed=seed,
    )
    return frame, str(rng.choice(["drop", "mismatch"]))


def disagreeing(seed: int) -> tuple[pd.DataFrame, str]:
    """Four sessions on two keys; reads see any value that is written; times do not overlap within a session."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["read", "write"], 9, p=[0.6, 0.4])
    keys = rng.choice(["x", "y"], 9)
    written: dict[str, list[Any]] = {"x": [None], "y": [None]}
    for i in range(9):
        if kinds[i] == "write":
            written[keys[i]].append(i + 1)
    rows = []
    for i in range(9):
        seen = written[keys[i]][int(rng.integers(len(written[keys[i]])))]
        value = i + 1 if kinds[i] == "write" else seen
        rows.append((int(rng.integers(4)), str(kinds[i]), str(keys[i]), value, float(i), i + 0.5, "ok"))
    return as_frame(rows), "drop"


def as_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["process", "kind", "key", "value", "called", "returned", "status"])
    frame["value"] = pd.Series([row[3] for row in rows], dtype=object)
    return frame


def unreliable(seed: int) -> tuple[pd.DataFrame, str]:
    """A register whose replies are mostly, not always, its last value, with failures and unknown outcomes."""
    rng = np.random.default_rng(seed)
    unique = bool(rng.random() < 0.6)
    keys = ["x"] if rng.random() < 0.6 else ["x", "y"]
    count = int(rng.integers(3, 9))
    state: dict[str, list[Any]] = {key: [None] for key in keys}
    clock = [0] * 3
    rows = []
    for i in range(count):
        process, key = int(rng.integers(3)), str(rng.choice(keys))
        call = max(clock[process], i - 2) + int(rng.integers(0, 2))
        end = clock[process] = call + int(rng.integers(0, 4))
        kind = str(rng.choice(["read", "read", "write", "cas"], p=[0.3, 0.2, 0.3, 0.2]))
        new = i + 1 if unique else i % 2 + 1
        seen = state[key][-1] if rng.random() < 0.7 else state[key][int(rng.integers(len(state[key])))]
        status = str(rng.choice(["ok", "info", "fail"], p=[0.8, 0.13, 0.07]))
        rows.append(
            (
                process,
                kind,
                key,
                seen if kind == "read" else new if kind == "write" else [seen, new],
                call,
                end,
                status,
            )
        )
        if kind != "read" and status != "fail" and rng.random() < 0.9:
            state[key].append(new)
    return as_frame(rows), str(rng.choice(["drop", "drop", "mismatch"]))


SIZE = 1000

KNOWN = {
    "columns": (231,),
    "search": (74,),
    "models": (159,),
    "linearizability": (243,),
    "relations": (117,),
    "causal": (35,),
    "sequential": (35,),
    "regular": (214,),
}
"""Module -> a history that tells its first mutant from the original: where the search begins."""


@cache
def verdict(model: str, seed: int) -> bool | None:
    frame, failed_cas = history(model, seed)
    return checks.check(frame, model, model="cas-register", failed_cas=failed_cas).valid


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Any]:
    """Make a copy of the package in which one text is replaced; import it."""

    def make(module: str, old: str, new: str) -> ModuleType:
        target = tmp_path / "mutant_checks"
        shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
        for file in target.glob("*.py"):
            text = file.read_text("utf-8")
            if file.stem == module:
                assert old in text, f"{module} does not contain {old!r}"
                text = text.replace(old, new)
            file.write_text(text.replace("sim.analysis.checks", "mutant_checks"), "utf-8")
        return importlib.import_module("mutant_checks")

    sys.path.insert(0, str(tmp_path))
    yield make
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "mutant_checks"]:
        del sys.modules[name]


def parameters() -> Iterator[Any]:
    """The first mutant of each module runs always, the others every night."""
    seen: set[str] = set()
    for mutant in MUTANTS:
        yield pytest.param(*mutant, marks=[pytest.mark.nightly] if mutant[0] in seen else [])
        seen.add(mutant[0])


def test_every_mutant_changes_words_that_are_there() -> None:
    """Those that run at night, too: a word that is moved or renamed shows at once."""
    gone = [
        (module, old)
        for module, old, *_ in MUTANTS
        if old not in (SOURCE / f"{module}.py").read_text("utf-8")
    ]
    assert gone == []


@pytest.mark.parametrize(("module", "old", "new", "model"), list(parameters()))
def test_a_mutant_is_caught(package: Any, module: str, old: str, new: str, model: str) -> None:
    mutant = package(module, old, new)
    for seed in likely_first(range(SIZE), *KNOWN.get(module, ())):
        frame, failed_cas = history(model, seed)
        try:
            found = mutant.check(
                frame, model, model="cas-register", failed_cas=failed_cas, budget=20_000
            ).valid
        except Exception:  # a mutant that crashes is caught as well
            found = "crash"
        if found != verdict(model, seed):
            return
    pytest.fail(f"no history of the corpus tells {module} with {new!r} from the original")


def test_a_lookahead_that_compares_the_wrong_way_round_is_caught(package: Any) -> None:
    rows = [
        (0, "append", "x", "a", 0, 5, "ok"),
        (1, "append", "x", "b", 0, 5, "ok"),
        (2, "get", "x", "ab", 6, 7, "ok"),
    ]
    frame = as_frame(rows)
    assert checks.check(frame, model="key-value").valid
    mutant = package("models", "read.value[: len(state)] == state", "state[: len(read.value)] == read.value")
    assert mutant.check(frame, model="key-value").valid is False
