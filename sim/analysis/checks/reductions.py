"""Reductions of the search: bits for open operations, antichains, and removal of writes that were never read."""

from __future__ import annotations

from collections.abc import Sequence

from sim.analysis.checks.states import RETURN
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["Antichains", "bits", "drop_unseen", "follows"]

_COMPARED = 64  # others of its state with which a configuration is compared: pruning is optional


class Antichains:
    """The best configurations seen, by state: those of which none can imitate another."""

    __slots__ = ("_best", "_owed")

    def __init__(self, owed: int) -> None:
        self._owed = owed
        self._best: dict[int, list[int]] = {}

    def adds(self, mask: int, state: int) -> bool:
        """Whether no configuration seen before owes and has used no more than this one; if so, remember it."""
        cost = mask ^ self._owed  # what is still owed, and what was used
        best = self._best.get(state)
        if best is None:
            self._best[state] = [cost]
            return True
        for better in best[:_COMPARED]:
            if not better & ~cost:
                return False
        best.append(cost)
        return True


def follows(operations: Sequence[HistoryOperation]) -> dict[int, int]:
    """Operation -> its predecessor in its process, if that returned at the same instant as the operation was called.

    Everything else that real time orders is ordered by the timeline; at one instant it cannot say more.
    """
    ended: dict[tuple[object, float], int] = {}
    found: dict[int, int] = {}
    for i in sorted(range(len(operations)), key=lambda i: (operations[i].returned, operations[i].called, i)):
        op = operations[i]
        if op.process is not None:
            if (op.process, op.called) in ended:
                found[i] = ended[op.process, op.called]
            ended[op.process, op.returned] = i
    return found


def bits(
    operations: Sequence[HistoryOperation], timeline: Sequence[tuple[float, int, int]]
) -> tuple[list[int], list[int]]:
    """The settled and the used bit of each operation: answered ones reuse low bits, those of unknown outcome have
    a high used bit of their own, and never owe anything (settled is 0)."""
    slot = [0] * len(operations)
    free: list[int] = []
    width = 0
    for _, what, i in timeline:
        if not operations[i].known:
            continue
        if what == RETURN:
            free.append(slot[i])
        elif free:
            slot[i] = free.pop()
        else:
            slot[i] = width
            width += 1
    for i, op in enumerate(operations):
        if not op.known:
            slot[i] = width
            width += 1
    settled = [1 << 2 * s if op.known else 0 for s, op in zip(slot, operations, strict=True)]
    return settled, [2 << 2 * s for s in slot]


def drop_unseen(operations: Sequence[HistoryOperation]) -> list[HistoryOperation]:
    """Operations on one register, without writes and cas of unknown outcome whose value was never read.

    Sound only where nothing but a value's being there is ever asserted: not with failed cas that assert a
    mismatch, appends or increments.
    """
    seen = {
        op.value if op.kind != "cas" else op.value[0]
        for op in operations
        if op.known and op.kind in _OBSERVERS
    }
    unknown = [op for op in operations if not op.known and op.kind in _SETTERS]
    kept: set[int] = set()
    fresh = True
    while fresh:
        fresh = False
        for op in unknown:
            if op.row not in kept and _set_by(op) in seen:
                kept.add(op.row)
                fresh = fresh or (op.kind == "cas" and op.value[0] not in seen)
                if op.kind == "cas":
                    seen.add(op.value[0])
    return [op for op in operations if op.known or op.kind not in _SETTERS or op.row in kept]


_OBSERVERS = frozenset({"read", "get", "cas"})
_SETTERS = frozenset({"write", "put", "cas", "delete"})


def _set_by(op: HistoryOperation) -> object:
    return None if op.kind == "delete" else op.value[1] if op.kind == "cas" else op.value
