"""Necessary conditions of linearizability that are quick to check, before the search, which may take very long.

Each condition considers one read (or dequeue) and what can explain it: the value was written, not too late, and it was
not replaced in between. A history that violates one is invalid; a history that satisfies all may still be invalid. All
cost O(n log n), and none assumes that values are unique. Without times (sequential consistency), only one part remains:
the value was written.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim.analysis.checks.models import MODELS, Model
from sim.analysis.checks.object_conditions import counter, lists, queue, sets
from sim.analysis.checks.verdict import HistoryOperation, show
from sim.analysis.checks.witnesses import Broken

__all__ = ["Broken", "broken", "untimed"]


def broken(model: Model, operations: Sequence[HistoryOperation], initial: object) -> Broken | None:
    """The first necessary condition that the operations of one object violate, or None.

    ``operations``: those that bind, without failed ones (but a failed cas may assert a mismatch) and without reads of
    unknown outcome. Only the models of `MODELS` have conditions; a model of one's own has none.
    """
    known = MODELS.get(model.name)
    if known is None or known.step is not model.step:
        return None
    conditions = _BY_MODEL.get(model.name, _of_register)
    return conditions(operations, initial)


def untimed(operations: Sequence[HistoryOperation]) -> list[HistoryOperation]:
    """The operations as if all were concurrent: conditions on these hold for any times."""
    return [replace(op, called=-math.inf, returned=math.inf) for op in operations]


def _of_register(operations: Sequence[HistoryOperation], initial: object) -> Broken | None:
    kinds = {op.kind for op in operations}
    if "append" not in kinds and "increment" not in kinds:
        return _register(operations, initial) or _consumed(operations, initial)
    changes = kinds - {"read", "get"}
    if changes == {"increment"}:
        return counter(operations, initial)
    return lists(operations, initial) if changes == {"append"} else None


_BY_MODEL: dict[str, Callable[[Sequence[HistoryOperation], Any], Broken | None]] = {
    "counter": counter,
    "set": sets,
    "queue": queue,
}


# Registers: reads, writes, cas and deletes


@dataclass(frozen=True, slots=True)
class _Sources:
    """The writes of one value, by call: their calls, and the greatest return among the first of them."""

    calls: list[float]
    ends: list[float]
    writes: list[HistoryOperation | None]  # None: the initial value
    last: list[int]  # of the first i + 1, the one that returned last


def _register(operations: Sequence[HistoryOperation], initial: object) -> Broken | None:
    """A read of a value that was never written, or written too late, or certainly replaced before the read began."""
    sources = _sources(operations, initial)
    replaced = _Replaced(operations)
    for read in operations:
        if not _observes(read):
            continue
        value = _seen(read)
        found = sources.get(value)
        if read.kind == "cas" and _written(read) == value:
            found = _without(found, read)
        if found is None or not found.calls:
            return Broken((read,), f"nobody wrote {show(value)}, which {read} saw{_hint(value, initial)}.")
        possible = bisect_right(found.calls, read.returned)
        if not possible:
            first = found.writes[0]
            assert first is not None
            return Broken(
                (read, first), f"{read} returned before the write of its value was called: {first}."
            )
        newer = replaced.before(read.called, value)
        if newer is not None and found.ends[possible - 1] < newer.called:
            source = found.writes[found.last[possible - 1]]
            told = "the initial value" if source is None else f"the value of {source}"
            shown = (newer, read) if source is None else (source, newer, read)
            reason = (
                f"{read} saw {told}, although {newer} shows that it had been replaced before the read began."
            )
            return Broken(shown, reason)
    return None


def _hint(value: object, initial: object) -> str:
    if initial is None and value in (0, ""):
        return f" (keys start as null here; pass initial={value!r} if they start as {value!r})"
    return ""


def _observes(op: HistoryOperation) -> bool:
    return op.status == "ok" and op.kind in {"read", "get", "cas"}


def _sets(op: HistoryOperation) -> bool:
    return op.status != "fail" and op.kind in {"write", "put", "cas", "delete"}


def _seen(op: HistoryOperation) -> Any:
    return op.value[0] if op.kind == "cas" else op.value


def _written(op: HistoryOperation) -> Any:
    return None if op.kind == "delete" else op.value[1] if op.kind == "cas" else op.value


def _sources(operations: Sequence[HistoryOperation], initial: object) -> dict[Any, _Sources]:
    writes: dict[Any, list[HistoryOperation | None]] = {initial: [None]}
    for op in sorted((op for op in operations if _sets(op)), key=lambda op: (op.called, op.row)):
        writes.setdefault(_written(op), []).append(op)
    return {value: _running(found) for value, found in writes.items()}


def _running(writes: list[HistoryOperation | None]) -> _Sources:
    calls, ends, last = [], [], []
    latest, at = -math.inf, 0
    for i, op in enumerate(writes):
        end = -math.inf if op is None else op.returned
        if end >= latest:
            latest, at = end, i
        calls.append(-math.inf if op is None else op.called)
        ends.append(latest)
        last.append(at)
    return _Sources(calls, ends, writes, last)


def _without(found: _Sources | None, op: HistoryOperation) -> _Sources | None:
    """The writes without the operation itself: a cas that writes the value it expected does not explain itself."""
    return None if found is None else _running([write for write in found.writes if write is not op])


class _Replaced:
    """Finds operations, by their time of return, that show that a register held another value than a given one."""

    def __init__(self, operations: Sequence[HistoryOperation]) -> None:
        shows = sorted(
            (op for op in operations if op.known and (_sets(op) or _observes(op))), key=lambda op: op.returned
        )
        self.returns = [op.returned for op in shows]
        self.best: list[tuple[HistoryOperation, HistoryOperation | None]] = []
        first: HistoryOperation | None = None  # of those so far, the last called
        second: HistoryOperation | None = (
            None  # the last called of those that show another value than the first
        )
        for op in shows:
            if first is None:
                first = op
            elif _held(op) == _held(first):
                first = op if op.called > first.called else first
            elif op.called > first.called:
                first, second = op, first
            elif second is None or op.called > second.called:
                second = op
            self.best.append((first, second))

    def before(self, time: float, value: object) -> HistoryOperation | None:
        """The last called of the operations that had returned before ``time`` and show another value."""
        at = bisect_left(self.returns, time)
        if not at:
            return None
        first, second = self.best[at - 1]
        return first if _held(first) != value else second


def _held(op: HistoryOperation) -> Any:
    """The value of the register just after the operation took effect."""
    return _written(op) if _sets(op) else op.value


def _consumed(operations: Sequence[HistoryOperation], initial: object) -> Broken | None:
    """A violation: more cas replaced a value than there were writes of it."""
    replacing: dict[Any, list[HistoryOperation]] = {}
    written: dict[Any, int] = {initial: 1}
    for op in operations:
        if op.kind == "cas" and op.value[0] == op.value[1]:
            continue
        if op.kind == "cas" and op.status == "ok":
            replacing.setdefault(op.value[0], []).append(op)
        if _sets(op):
            written[_written(op)] = written.get(_written(op), 0) + 1
    for value, found in replacing.items():
        count = written.get(value, 0)
        if len(found) > count:
            times = "once" if count == 1 else f"{count} times"
            return Broken(
                tuple(found), f"{len(found)} cas replaced {show(value)}, which was there at most {times}."
            )
    return None
