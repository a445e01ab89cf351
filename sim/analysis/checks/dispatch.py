"""Chooses the algorithm that checks a model, and uses implications between models as shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.analysis.checks.causal import cc, ccv, cm
from sim.analysis.checks.columns import FAIL, INFO, History
from sim.analysis.checks.conditions import Broken, broken, untimed
from sim.analysis.checks.eventual import eventual
from sim.analysis.checks.happened_before import pram
from sim.analysis.checks.interleaving import Interleaving
from sim.analysis.checks.linearizability import binding, initial_codes, judge_linearizable, partitions
from sim.analysis.checks.models import Model
from sim.analysis.checks.reductions import drop_unseen
from sim.analysis.checks.regular import regular_key
from sim.analysis.checks.relations import HistoryItems, Pattern, Relations
from sim.analysis.checks.sequential import ClockOrder, necessary, with_versions
from sim.analysis.checks.sessions import session_guarantee
from sim.analysis.checks.shrink import REGISTERS, plain
from sim.analysis.checks.verdict import HistoryOperation, Verdict, name
from sim.analysis.checks.zones import judge_zones

__all__ = ["Judge", "overlapping"]

_PATTERNS: dict[str, Callable[[Relations], Pattern | None]] = {"CC": cc, "CCv": ccv, "CM": cm, "pram": pram}


@dataclass
class Judge:
    """One history, and the parameters of its check (those of `check`)."""

    history: History
    model: Model
    initial: Any
    mismatch: bool
    budget: int
    witness: bool
    progress: bool
    versions: Mapping[Any, Sequence[Any]] | None = None
    settle: float = 0.0

    def verdict(self, name: str) -> Verdict:
        """Judge by the model of this canonical name."""
        if name == "linearizable":
            return self._linearizable(self.budget)
        if name == "sequential":
            return self._sequential()
        if self.model.name not in REGISTERS:
            return self._say(
                name, None, f"{name} is about reads and writes; this history is of a {self.model.name}."
            )
        codes = initial_codes(self.history, self.model, self.initial)
        if name == "eventual":
            found = eventual(self.history, codes, settle=self.settle)
            return replace(found, model=self.model.name)
        if name == "regular":
            return self._regular(codes)
        if self.history.process is None:
            raise ValueError(f"{name} is about sessions: the history needs a column 'process'")
        strange = [kind for kind in self.history.kinds if kind in {"append", "increment"}]
        if strange:
            return self._say(
                name, None, f"{name} is about reads and writes; this history has {' and '.join(strange)}."
            )
        return self._by_pattern(name, codes)

    def _say(
        self, name: str, valid: bool | None, reason: str, shown: Sequence[int] = (), steps: int = 0
    ) -> Verdict:
        operations = tuple(self.history.operation(row) for row in shown)
        return Verdict(valid, name, self.model.name, reason, operations, None, steps)

    def _linearizable(self, budget: int) -> Verdict:
        return judge_linearizable(
            self.history,
            self.model,
            self.initial,
            mismatch=self.mismatch,
            budget=budget,
            witness=self.witness,
            progress=self.progress,
        )

    # The weak models

    def _is_atomic(self, codes: NDArray[np.int64]) -> bool:
        """Whether zones show that the history is linearizable, which implies all weaker models."""
        if not self.history.timed or self.versions is not None or self.history.process is None:
            return False
        zones = judge_zones(self.history, codes, strict=True)
        return bool(zones.judged.all()) and zones.violation is None and not overlapping(self.history)

    def _by_pattern(self, name: str, codes: NDArray[np.int64]) -> Verdict:
        if self._is_atomic(codes):
            return self._say(name, True, "It is linearizable, which implies it.", steps=len(self.history))
        trace = HistoryItems.of(self.history, codes.tolist())
        versions = _version_items(trace, self.versions)

        def judge(relations: Relations) -> Pattern | None:
            if name in _PATTERNS:
                return _PATTERNS[name](relations)
            return session_guarantee(relations, name, versions)

        found, steps = self._readings(trace, judge)
        if found is None:
            return self._say(
                name, True, f"None of the patterns that contradict {name} is there.", steps=steps
            )
        if found == "spent":
            reason = f"Values were written more than once, and the budget of {self.budget} steps did not suffice to "
            return self._say(
                name, None, reason + "try all ways in which the reads may have seen them.", steps=steps
            )
        assert isinstance(found, Pattern)
        ways = (
            "" if trace.choices == 1 else " This, or another contradiction, whichever writes the reads saw."
        )
        return self._say(name, False, f"{found.name}: {found.reason}{ways}", found.rows, steps)

    def _readings(
        self, trace: HistoryItems, judge: Callable[[Relations], Pattern | None]
    ) -> tuple[Pattern | Literal["spent"] | None, int]:
        """The pattern that contradicts every reading (that of the likeliest); None if one reading has none."""
        steps, first = 0, None
        for relations in trace.readings():
            steps += len(relations.items)
            if first is not None and steps > self.budget:
                return "spent", steps
            found = relations.thin_air() or judge(relations)
            if found is None:
                return None, steps
            first = first or found
            if found.name == "ThinAirRead" and (trace.choices == 1 or trace.hopeless(found)):
                break
        return first, steps

    def _regular(self, codes: NDArray[np.int64]) -> Verdict:
        if not self.history.timed:
            raise ValueError("regularity needs the columns 'called' and 'returned'")
        h = self.history
        zones = judge_zones(h, codes, regular=True)
        if zones.violation is not None:
            return self._say("regular", False, zones.violation.reason, zones.violation.rows, len(h))
        steps, unknown = len(h), False
        for rows in partitions(h, ~zones.judged, True):
            operations = [
                h.operation(r) for r in rows if h.status[r] != FAIL and h.kinds[h.kind[r]] != "scan"
            ]
            operations = [op for op in operations if op.known or op.kind not in self.model.reads]
            if any(op.kind in {"append", "increment"} for op in operations):
                unknown = True
                continue
            start = self.model.starting(self.initial, h.keys[h.key[rows[0]]])
            found = regular_key(operations, start, max(0, self.budget - steps))
            steps += found.steps
            if found.valid is False:
                return self._say("regular", False, found.reason, found.rows, steps)
            unknown |= found.valid is None
        if unknown:
            return self._say(
                "regular", None, "Some keys could not be judged (appends, or values that repeat).", (), steps
            )
        return self._say(
            "regular", True, "Every read saw the last complete write or one under way.", (), steps
        )

    # Sequential consistency

    def _sequential(self) -> Verdict:
        h = self.history
        if h.process is None:
            raise ValueError("sequential consistency is about sessions: the history needs a column 'process'")
        steps = 0
        if h.timed and self.versions is None and not overlapping(h, touching=True):
            atomic = self._linearizable(self.budget // 4)
            if atomic.ok:
                return replace(
                    atomic, consistency="sequential", reason="It is linearizable, which implies it."
                )
            steps = atomic.steps
        order: ClockOrder | None = None
        if (
            self.model.name in REGISTERS
            and not self.mismatch
            and self._is_atomic(initial_codes(h, self.model, self.initial))
        ):
            return self._say("sequential", True, "It is linearizable, which implies it.", steps=len(h))
        if self.model.name in REGISTERS and not {"append", "increment"} & set(h.kinds):
            codes = initial_codes(h, self.model, self.initial)
            trace = HistoryItems.of(h, codes.tolist())
            if self.versions is not None:
                versions = _version_items(trace, self.versions)
                found, spent = self._readings(trace, lambda relations: with_versions(relations, versions))
                if found is None and _complete(trace, versions):
                    reason = "Session order, reading and the known order of versions have no cycle."
                    return self._say("sequential", True, reason, steps=spent)
                if isinstance(found, Pattern):
                    return self._say("sequential", False, f"{found.name}: {found.reason}", found.rows, spent)
            if trace.choices == 1:
                relations = next(trace.readings())
                known = relations.thin_air() or necessary(relations)
                steps += len(relations.items)
                if isinstance(known, Pattern):
                    return self._say("sequential", False, f"{known.name}: {known.reason}", known.rows, steps)
                order = known
        return self._interleave(order, steps)

    def _interleave(self, order: ClockOrder | None, steps: int) -> Verdict:
        found = self._never()
        if found is not None:
            shown = [op.row for op in found.operations]
            return self._say("sequential", False, _on(found.operations[0].key) + found.reason, shown, steps)
        return self._search(order, steps)

    def _never(self) -> Broken | None:
        """A violation that no order of the operations explains, with any sessions and times; None: none found."""
        for rows in partitions(self.history, np.ones(len(self.history.keys), dtype=bool), self.model.by_key):
            operations = binding(self.history, self.model, self.mismatch, rows)
            key = operations[0].key if operations and self.model.by_key else None
            found = broken(self.model, untimed(operations), self.model.starting(self.initial, key))
            if found is not None:
                return found
        return None

    def _search(self, order: ClockOrder | None, steps: int) -> Verdict:
        search = _interleaving(self.history, self.model, self.initial, self.mismatch, order)
        found = search.search(max(0, self.budget - steps))
        steps += found.steps
        if found.valid is None:
            return self._say("sequential", None, f"The budget of {self.budget} steps was spent.", steps=steps)
        if found.valid:
            verdict = self._say(
                "sequential", True, "The sessions have an interleaving that explains all.", (), steps
            )
            return replace(verdict, order=found.order if self.witness else None)
        reason = "No interleaving of the sessions explains all replies; the longest got stuck before these."
        return self._say("sequential", False, reason, [op.row for op in found.stuck], steps)


def _interleaving(
    h: History, model: Model, initial: Any, mismatch: bool, order: ClockOrder | None
) -> Interleaving:
    assert h.process is not None
    times = (h.called, h.returned) if h.timed else (np.arange(len(h)), np.arange(len(h)))
    rows = np.lexsort((times[0], times[1], h.process))

    def binds(row: int) -> bool:
        kind, status = h.kinds[h.kind[row]], int(h.status[row])
        return model.binds(kind, status, mismatch) or (status == INFO and kind not in model.left_out)

    operations = [h.operation(row) for row in rows if binds(int(row))]
    unknown = [op for op in operations if op.status == "info" and op.kind not in model.reads]
    if plain(model, operations):
        by_key: dict[Any, list[HistoryOperation]] = {}
        for op in operations:
            by_key.setdefault(op.key, []).append(op)
        seen = {op.row for group in by_key.values() for op in drop_unseen(group)}
        unknown = [op for op in unknown if op.row in seen]
    lines: dict[int, list[HistoryOperation]] = {}
    for op in operations:
        if op.known:
            lines.setdefault(int(h.process[op.row]), []).append(op)
    place = {p: at for at, p in enumerate(lines)}
    optional = []
    for op in sorted(unknown, key=lambda o: o.row):
        p = int(h.process[op.row])
        before = sum(times[1][other.row] <= times[0][op.row] for other in lines.get(p, ()))
        optional.append((op, place.get(p, 0), int(before)))
    keys = list(dict.fromkeys(op.key for op in operations)) if model.by_key else [None]
    starts = {key: model.starting(initial, key) for key in keys}
    return Interleaving(model, list(lines.values()), optional, starts, order)


def _on(key: Any) -> str:
    return "" if key is None else f"Key {name(key)}: "


def _complete(trace: HistoryItems, versions: Mapping[int, Sequence[int]]) -> bool:
    """Whether the known orders name every answered write."""
    named = {i for order in versions.values() for i in order}
    return all(i in named for i, write in enumerate(trace.write) if write and trace.session[i] < trace.known)


def _version_items(trace: HistoryItems, versions: Mapping[Any, Sequence[Any]] | None) -> dict[int, list[int]]:
    """The known versions of each key as items of the trace; raises ValueError where a value was written twice."""
    if versions is None:
        return {}
    history = trace.history
    written: dict[tuple[int, int], int] = {}
    for i, write in enumerate(trace.write):
        if write:
            name = (trace.key[i], trace.value[i])
            if name in written:
                told = f"{trace.tell(written[name])} and {trace.tell(i)}"
                raise ValueError(f"with versions, every written value must be unique to its key: {told}")
            written[name] = i
    found: dict[int, list[int]] = {}
    for key, values in versions.items():
        if key in history.keys:
            k = history.keys.index(key)
            items = (written.get((k, history.code(value))) for value in values)
            found[k] = [item for item in items if item is not None]
    return found


def overlapping(history: History, *, touching: bool = False) -> bool:
    """Whether a process had two operations open at once (or, ``touching``, at one instant)."""
    assert history.process is not None
    rows = np.flatnonzero(history.status != FAIL)
    rows = rows[np.lexsort((history.called[rows], history.returned[rows], history.process[rows]))]
    same = history.process[rows[1:]] == history.process[rows[:-1]]
    call, returned = history.called[rows[1:]], history.returned[rows[:-1]]
    return bool(
        (same & ((call <= returned) if touching else (call < returned)) & np.isfinite(returned)).any()
    )
