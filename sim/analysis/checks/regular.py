"""Regular registers: a read returns the last completed write or a concurrent one (Lamport 1986).

With several writers, as in Shao, Welch, Pierce & Lee (SIAM J. Comput. 2011) with one order of the writes for all
reads: there is an order of the writes to a key that extends real time, such that no read saw a write that began after
it had returned, or one that another write followed which was complete when the read began. Reads are not ordered
among each other: a later read may see an older value (new-old inversion) while a write is going on.
A successful cas counts as a read of the value it expected and a write of the new one.

For a given reading this is a question of zones (`sim.analysis.checks.zones`) with f the return of the write and s the
greatest call in its cluster. Where values repeat, the ways to read are tried one after the other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["Regular", "regular_key"]


@dataclass(frozen=True, slots=True)
class Regular:
    """``valid`` None: the budget ran out. ``rows`` and ``reason`` explain an invalid history."""

    valid: bool | None
    steps: int
    rows: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Write:
    value: object
    called: float
    returned: float
    operation: HistoryOperation | None  # None: the initial value


def regular_key(operations: Sequence[HistoryOperation], initial: object, budget: int) -> Regular:
    """Judge the operations on one key (reads, writes, cas, delete; failed ones and unanswered reads left out)."""
    writes = [_Write(initial, -math.inf, -math.inf, None)]
    writes += [_Write(_written(op), op.called, op.returned, op) for op in _possible(operations, initial)]
    reads = [op for op in operations if op.known and op.kind in _OBSERVERS]
    complete = sorted((w for w in writes if not math.isinf(w.returned)), key=lambda w: w.returned)
    latest_call = [-math.inf]  # of the first i complete writes
    for w in complete:
        latest_call.append(max(latest_call[-1], w.called))
    returns = [w.returned for w in complete]
    choices: list[list[int]] = []
    for read in reads:
        overwritten = latest_call[bisect_left(returns, read.called)]
        matching = [i for i, w in enumerate(writes) if w.value == _seen(read) and w.operation is not read]
        found = [
            i for i in matching if writes[i].called <= read.returned and not writes[i].returned < overwritten
        ]
        if not found:
            return _hopeless(read, [writes[i] for i in matching], complete, len(operations))
        found.sort(key=lambda i: -writes[i].called)
        choices.append(found)
    steps = len(operations)
    for chosen in product(*choices):
        steps += len(writes)
        if steps > budget + len(operations):
            return Regular(None, steps)
        if _agrees(writes, reads, chosen):
            return Regular(True, steps)
    rows = tuple(op.row for op in operations)
    return Regular(
        False, steps, rows if len(rows) <= 12 else (), "no order of the writes suits all reads of this key."
    )


def _possible(operations: Sequence[HistoryOperation], initial: object) -> list[HistoryOperation]:
    """The writes, without cas of unknown outcome that cannot have happened: their expected value was never written."""
    writes = [op for op in operations if op.kind not in _READS]
    while True:
        values = {initial, *(_written(op) for op in writes)}
        left = [
            op for op in writes if op.known or op.kind != "cas" or _expectable(op, writes, values, initial)
        ]
        if len(left) == len(writes):
            return left
        writes = left


def _expectable(
    op: HistoryOperation, writes: list[HistoryOperation], values: set[object], initial: object
) -> bool:
    seen = _seen(op)
    if seen not in values or _written(op) != seen:
        return seen in values
    return seen == initial or any(_written(other) == seen for other in writes if other is not op)


def _agrees(writes: Sequence[_Write], reads: Sequence[HistoryOperation], chosen: Sequence[int]) -> bool:
    """Whether no two writes must each come before the other, given which write each read saw."""
    latest = [w.called for w in writes]
    alive = [w.operation is None or w.operation.known for w in writes]
    for read, i in zip(reads, chosen, strict=True):
        latest[i] = max(latest[i], read.called)
        alive[i] = True
    spans = sorted((w.returned, s) for w, s, lives in zip(writes, latest, alive, strict=True) if lives)
    forward = [(f, s) for f, s in spans if f < s]
    if any(later[0] < earlier[1] for earlier, later in pairwise(forward)):
        return False
    starts = [f for f, _ in forward]
    for f, s in spans:
        at = bisect_left(starts, s) - 1
        if f >= s and at >= 0 and forward[at][1] > f:
            return False
    return True


def _hopeless(read: HistoryOperation, matching: list[_Write], complete: list[_Write], steps: int) -> Regular:
    """A violation: the value of a read was never written, or not in time, or had been overwritten."""
    if not matching:
        return Regular(False, steps, (read.row,), f"nobody wrote what {read} saw.")
    early = [w for w in matching if w.called <= read.returned]
    if not early:
        rows = tuple(w.operation.row for w in matching[:1] if w.operation is not None)
        return Regular(False, steps, (read.row, *rows), f"{read} returned before its value was written.")
    last = max(early, key=lambda w: w.returned)
    newer = next(w for w in complete if w.called > last.returned and w.returned < read.called)
    old = "the initial value" if last.operation is None else str(last.operation)
    rows = tuple(w.operation.row for w in (last, newer) if w.operation is not None)
    reason = f"{read} saw {old}, although {newer.operation} had replaced it before the read began."
    return Regular(False, steps, (*rows, read.row), reason)


def _written(op: HistoryOperation) -> object:
    return None if op.kind == "delete" else op.value[1] if op.kind == "cas" else op.value


def _seen(op: HistoryOperation) -> object:
    return op.value[0] if op.kind == "cas" else op.value


_READS = frozenset({"read", "get"})
_OBSERVERS = frozenset({"read", "get", "cas"})
