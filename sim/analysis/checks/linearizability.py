"""Linearizability (Herlihy & Wing 1990): each operation takes effect at one moment between its call and its return.

Linearizability is local, so keys are checked one by one: by zones if a key's written values are unique, by the
just-in-time search otherwise and for all other data types. Before any search, the quick necessary conditions of
every key are checked (`conditions`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.analysis.checks.columns import FAIL, History
from sim.analysis.checks.conditions import Broken, broken
from sim.analysis.checks.models import Model
from sim.analysis.checks.reductions import drop_unseen
from sim.analysis.checks.search import MOST_KEPT, Found, search
from sim.analysis.checks.shrink import REGISTERS, plain, shrink
from sim.analysis.checks.verdict import HistoryOperation, Verdict, name, show
from sim.analysis.checks.zones import judge_zones

__all__ = ["binding", "initial_codes", "judge_linearizable", "partitions"]


def judge_linearizable(
    history: History,
    model: Model,
    initial: object = None,
    *,
    mismatch: bool = False,
    budget: int = 10_000_000,
    witness: bool = False,
    progress: bool = False,
) -> Verdict:
    """Judge linearizability.

    ``mismatch``: a failed cas asserts that the value was not the expected one at some moment of the operation (and
    does not only say that it did not happen). ``budget``: transitions that the search may try over all keys.
    ``witness``: return the order of a linearization, key by key. Raises ValueError when there are no times.
    """
    if not history.timed:
        raise ValueError("linearizability needs the columns 'called' and 'returned'")
    return _Judge(history, model, initial, mismatch, budget, witness).verdict(progress)


class _Judge:
    def __init__(
        self, history: History, model: Model, initial: object, mismatch: bool, budget: int, witness: bool
    ) -> None:
        self.history, self.model, self.initial = history, model, initial
        self.mismatch, self.budget, self.witness = mismatch, budget, witness
        self.order: list[int] = []
        self.steps = 0
        self.searched = 0  # the steps that count against the budget
        self.crowded = False  # whether a search ended because of memory

    def verdict(self, progress: bool) -> Verdict:
        rest = np.ones(len(self.history.keys), dtype=bool)
        if self.model.name in REGISTERS:
            codes = initial_codes(self.history, self.model, self.initial)
            zones = judge_zones(self.history, codes, mismatch=self.mismatch, witness=self.witness)
            self.steps += int(np.count_nonzero(zones.judged[self.history.key]))
            if zones.violation is not None:
                shown = tuple(self.history.operation(r) for r in zones.violation.rows)
                return self._verdict(False, zones.violation.reason, shown)
            self.order += [] if zones.order is None else zones.order.tolist()
            rest = ~zones.judged
        spent = self._search(rest, progress)
        if isinstance(spent, Verdict):
            return spent
        if spent:
            return self._verdict(None, self._unfinished(spent))
        n = int(np.count_nonzero(self.history.status != FAIL))
        return self._verdict(True, f"All {n} operations that may have happened fit one order per key.")

    def _unfinished(self, spent: list[object]) -> str:
        """Why there is no verdict on these keys."""
        why = f"The budget of {self.budget} steps was spent"
        if self.crowded:
            why = f"More than {MOST_KEPT:,} orders of what was under way at one time had to be kept in memory"
        if not self.model.by_key:
            together = (
                "Operations touch more than one key, so that the search put all operations into one order."
            )
            return f"{why} before an answer. {together}"
        keys = ", ".join(name(k) for k in spent[:5]) + (" …" if len(spent) > 5 else "")
        return f"{why} before an answer for {len(spent)} keys: {keys}."

    def _search(self, rest: NDArray[np.bool_], progress: bool) -> Verdict | list[object]:
        """Search the keys that are left: a violation, or the keys for which the budget did not suffice."""
        from tqdm import tqdm

        left: list[object] = []
        groups = partitions(self.history, rest, self.model.by_key)
        for rows in groups:
            operations = self.operations(rows)
            found_broken = broken(self.model, operations, self._start(operations))
            if found_broken is not None:
                return self._broken(found_broken)
        bar = tqdm(groups, unit=" keys", desc="searching", disable=None if progress and groups else True)
        for rows in bar:
            operations = self.operations(rows)
            key, start = self._key(operations), self._start(operations)
            found = search(self.model, operations, start, self.budget - self.searched, witness=self.witness)
            self.steps += found.steps
            self.searched += found.steps
            if found.valid is None:
                left.append(key)
                self.crowded = self.crowded or found.crowded
            elif not found.valid:
                return self._explain(operations, start, found)
            elif found.order is not None:
                self.order += [operations[i].row for i in found.order]
        return left

    def _key(self, operations: list[HistoryOperation]) -> object:
        return operations[0].key if operations and self.model.by_key else None

    def _start(self, operations: list[HistoryOperation]) -> object:
        return self.model.starting(self.initial, self._key(operations))

    def _broken(self, found: Broken) -> Verdict:
        shown = tuple(sorted(found.operations, key=lambda op: (op.called, op.row)))
        key = "" if shown[0].key is None else f"Key {name(shown[0].key)}: "
        return self._verdict(False, key + found.reason, shown)

    def operations(self, rows: NDArray[np.int64]) -> list[HistoryOperation]:
        """The operations that bind, without unseen writes."""
        operations = binding(self.history, self.model, self.mismatch, rows)
        return drop_unseen(operations) if plain(self.model, operations) else operations

    def _explain(self, operations: list[HistoryOperation], start: object, found: Found) -> Verdict:
        failed = operations[found.failed] if found.failed is not None else operations[0]
        small, since = shrink(self.model, operations, start, found)
        states = " or ".join(show(s) for s in found.states[:6]) + (" or …" if len(found.states) > 6 else "")
        key = "" if failed.key is None else f"Key {name(failed.key)}: "
        reason = f"{key}no order of the operations explains {failed}; before it, the state can only have been {states}."
        if since is not None:
            reply, state = since
            reason += (
                f" When {reply} had returned, the state was {show(state)} whatever the order; from there"
            )
            reason += " these operations contradict each other."
        elif len(small) < len(operations):
            reason += (
                f" These {len(small)} of the {len(operations)} operations already contradict each other."
            )
        return self._verdict(False, reason, tuple(small))

    def _verdict(self, valid: bool | None, reason: str, shown: tuple[HistoryOperation, ...] = ()) -> Verdict:
        order = tuple(self.order) if self.witness and valid else None
        return Verdict(valid, "linearizable", self.model.name, reason, shown, order, self.steps)


def binding(
    history: History, model: Model, mismatch: bool, rows: NDArray[np.int64]
) -> list[HistoryOperation]:
    """The operations that bind: without those that failed, reads of unknown outcome, and scans."""

    def binds(row: int) -> bool:
        return model.binds(history.kinds[history.kind[row]], int(history.status[row]), mismatch)

    return [history.operation(row) for row in rows.tolist() if binds(row)]


def initial_codes(history: History, model: Model, initial: object) -> NDArray[np.int64]:
    """The code of the value that each key starts with (register models)."""
    starts = [model.starting(initial, key) for key in history.keys]
    table = {start: history.code(start) for start in starts}
    return np.array([table[start] for start in starts], dtype=np.int64)


def partitions(history: History, wanted: NDArray[np.bool_], by_key: bool) -> list[NDArray[np.int64]]:
    """The rows of each wanted key, fewest first; all rows at once where keys depend on each other."""
    if not by_key:
        return [np.arange(len(history))] if len(history) else []
    order = np.argsort(history.key, kind="stable")
    bounds = np.searchsorted(history.key[order], np.arange(len(history.keys) + 1))
    groups = [order[bounds[k] : bounds[k + 1]] for k in np.flatnonzero(wanted)]
    return sorted((g for g in groups if len(g)), key=len)
