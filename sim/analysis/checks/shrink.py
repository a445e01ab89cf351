"""Smaller counterexamples to linearizability, by leaving out irrelevant operations.

A part of a linearizable history need not be linearizable, so not every operation may go. These may:
everything called after the failing operation returned; reads (they change nothing); on registers, writes and cas
whose value no remaining operation saw (their place in an order can be left empty); and everything before a moment at
which only one state was left, if it is contradictory to go on from that state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sim.analysis.checks.models import Model
from sim.analysis.checks.reductions import drop_unseen
from sim.analysis.checks.search import Found, search
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["REGISTERS", "plain", "shrink"]

REGISTERS = frozenset({"register", "cas-register", "key-value"})
"""The models whose states are values that were written."""

_BUDGET = 300_000  # transitions and operations looked at: a bound on the work, not on the answer
_PASSES = 20  # … but long histories are looked at this often
_FEW = 8  # operations that need no shorter window


def plain(model: Model, operations: Sequence[HistoryOperation]) -> bool:
    """Whether these are reads, writes and successful cas of a register only."""
    odd = any(op.kind in {"append", "increment"} or op.status == "fail" for op in operations)
    return model.name in REGISTERS and not odd


def shrink(
    model: Model, operations: Sequence[HistoryOperation], initial: object, found: Found
) -> tuple[list[HistoryOperation], tuple[HistoryOperation, object] | None]:
    """A small part of an invalid history that is still invalid, in order of call; deterministic.

    The second value is None, or (reply, state): the part is only contradictory because that reply (its first
    operation) left one state, whatever the order of what came before.
    """
    failed = operations[found.failed or 0]
    prefix = [_at(op, failed.returned) for op in operations if op.called <= failed.returned]
    prefix = [op for op in prefix if op.known or op.kind not in model.reads]
    smaller = _Shrinker(model, initial, len(prefix)).run(prefix) or prefix
    rows = {op.row for op in smaller}
    since: tuple[HistoryOperation, object] | None = None
    if len(smaller) > _FEW:
        for i, state in reversed(found.certain):
            reply = operations[i]
            window = [
                _since(op, reply.returned)
                for op in prefix
                if not op.returned < reply.returned and op is not reply
            ]
            window = [op for op in window if op.known or op.kind not in model.reads]
            part = _Shrinker(model, state, len(window)).run(window)
            if part and len(part) + 1 < len(smaller):
                rows, since = {op.row for op in part} | {reply.row}, (reply, state)
                break
    return sorted((op for op in operations if op.row in rows), key=lambda op: (op.called, op.row)), since


def _at(op: HistoryOperation, time: float) -> HistoryOperation:
    """The operation as it stood at that time: not yet answered if it returned later."""
    return op if op.returned <= time or not op.known else _optional(op)


def _since(op: HistoryOperation, time: float) -> HistoryOperation:
    """The operation as seen from that time on: it may have taken effect before if it was called before."""
    return op if op.called > time else _optional(op)


def _optional(op: HistoryOperation) -> HistoryOperation:
    return replace(op, status="info", returned=math.inf)


class _Shrinker:
    """Leaves out ever smaller runs of operations, as long as what remains is invalid."""

    def __init__(self, model: Model, initial: object, size: int) -> None:
        self.model, self.initial = model, initial
        self.budget = max(_BUDGET, _PASSES * size)

    def invalid(self, operations: list[HistoryOperation]) -> bool:
        found = search(self.model, operations, self.initial, self.budget)
        self.budget -= found.steps + len(operations)
        return found.valid is False

    def run(self, kept: list[HistoryOperation]) -> list[HistoryOperation]:
        """The smallest part found; empty if the whole was not shown to be invalid."""
        if not self.invalid(kept):
            return []
        registers = plain(self.model, kept)
        size = max(1, len(kept) // 2)
        while self.budget > 0:
            at, smaller = 0, False
            while at < len(kept) and self.budget > 0:
                fewer = self._without(kept, at, size, registers)
                if len(fewer) < len(kept) and self.invalid(fewer):
                    kept, smaller = fewer, True
                else:
                    at += size
            if size == 1 and not smaller:
                break
            size = max(1, size // 2)
        return kept

    def _without(
        self, kept: list[HistoryOperation], at: int, size: int, registers: bool
    ) -> list[HistoryOperation]:
        """``kept`` without those of the operations at … at + size that may go."""
        chunk = {op.row for op in kept[at : at + size]}
        fewer = [op for op in kept if op.row not in chunk or not (op.known and self.model.pure(op))]
        if not registers:
            return fewer
        left = {op.row for op in drop_unseen([_optional(op) if op.row in chunk else op for op in fewer])}
        return [op for op in fewer if op.row in left]
