"""Slow and simple checks, independent of the checkers; the tests compare both.

`wing_gong_lowe` is the classic search of Wing & Gong (1993) with Lowe's memory of visited configurations (2017), as
Horn & Kroening (FORTE 2015) and Porcupine present it; `interleaves` tries all permutations. The weak models have
theirs in `sim.analysis.checks.axioms`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

from sim.analysis.checks.models import ILLEGAL, Model
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["interleaves", "linear", "wing_gong_lowe"]


# Linearizability


class _Entry:
    """A call or a return in a doubly linked list; ``match`` is a call's return (None: it never returns)."""

    __slots__ = ("after", "before", "match", "number", "operation")

    def __init__(self, operation: HistoryOperation | None, number: int) -> None:
        self.operation = operation
        self.number = number
        self.match: _Entry | None = None
        self.before: _Entry | None = None
        self.after: _Entry | None = None

    def lift(self) -> None:
        for entry in (self, self.match):
            if entry is not None and entry.before is not None:
                entry.before.after = entry.after
                if entry.after is not None:
                    entry.after.before = entry.before

    def unlift(self) -> None:
        for entry in (self.match, self):
            if entry is not None and entry.before is not None:
                entry.before.after = entry
                if entry.after is not None:
                    entry.after.before = entry


def wing_gong_lowe(model: Model, operations: Sequence[HistoryOperation], initial: Any = None) -> bool:
    """Whether the operations of one object have a linearization; no budget, no reductions.

    Failed operations are taken as assertions, operations of unknown outcome as optional: leave out others before.
    An operation called at the instant at which another of its process returned comes after that one.
    """
    first = [
        [
            i
            for i, a in enumerate(operations)
            if a.known and a.process == b.process and a.process is not None and a.returned == b.called
            if (a.returned, a.called, a.row) < (b.returned, b.called, b.row)
        ]
        for b in operations
    ]
    head = _entries(operations)
    state = model.initial if initial is None else initial
    required = sum(op.known for op in operations)
    done = 0
    visited: set[tuple[int, Hashable]] = set()
    stack: list[tuple[_Entry, Any]] = []
    mask = 0
    entry = head.after
    while required > done:
        if entry is not None and entry.operation is not None:  # a call
            new = model.step(state, entry.operation)
            reached = (mask | 1 << entry.number, new)
            turn = all(mask >> i & 1 for i in first[entry.number])
            if new is not ILLEGAL and turn and reached not in visited:
                visited.add(reached)
                stack.append((entry, state))
                mask, state = reached
                done += entry.operation.known
                entry.lift()
                entry = head.after
            else:
                entry = entry.after
            continue
        if not stack:  # a return, or the end: an operation was missed
            return False
        entry, state = stack.pop()
        mask &= ~(1 << entry.number)
        assert entry.operation is not None
        done -= entry.operation.known
        entry.unlift()
        entry = entry.after
    return True


def _entries(operations: Sequence[HistoryOperation]) -> _Entry:
    timeline: list[tuple[float, int, int, _Entry]] = []
    for i, op in enumerate(operations):
        call = _Entry(op, i)
        timeline.append((op.called, 0, i, call))
        if op.known:
            call.match = _Entry(None, i)
            timeline.append((op.returned, 1, i, call.match))
    head = last = _Entry(None, -1)
    for *_, entry in sorted(timeline, key=lambda e: e[:3]):
        last.after, entry.before = entry, last
        last = entry
    return head


# Sequential consistency


def interleaves(model: Model, operations: Sequence[HistoryOperation], starts: dict[Any, Any]) -> bool:
    """Whether some permutation of the operations, each process in the order given, explains all replies.

    ``starts``: the state of each key. Operations of unknown outcome are optional, and followed by nothing.
    """
    known = [op for op in operations if op.known]
    unknown = [op for op in operations if not op.known]
    for count in range(len(unknown) + 1):
        for happened in combinations(unknown, count):
            chosen = [op for op in operations if op.known or op in happened]
            before = {
                (i, j)
                for (i, a), (j, b) in combinations(enumerate(chosen), 2)
                if a.process == b.process and a in known
            }
            if any(
                _explains(model, [chosen[i] for i in order], starts)
                for order in linear(range(len(chosen)), before)
            ):
                return True
    return False


def _explains(model: Model, order: Sequence[HistoryOperation], starts: dict[Any, Any]) -> bool:
    states = dict(starts)
    for op in order:
        states[op.key] = model.step(states[op.key], op)
        if states[op.key] is ILLEGAL:
            return False
    return True


def linear(items: Iterable[int], order: Iterable[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """All permutations of the items that respect the pairs."""
    members = list(items)
    pairs = [(a, b) for a, b in order if a in members and b in members]
    for candidate in permutations(members):
        place = {i: at for at, i in enumerate(candidate)}
        if all(place[a] < place[b] for a, b in pairs):
            yield candidate
