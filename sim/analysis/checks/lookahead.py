"""Lookahead to the next read of an object that can only grow until then.

A wrong order of appends is detected at the next read only; by then there is one configuration for each order.
If only additions can take effect before a read returns, the value that it returned must begin with the state. The
same holds if others may do so that cannot have been the last before it: additions do not make of what they leave what
the read saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from sim.analysis.checks.models import ILLEGAL, Model
from sim.analysis.checks.states import CALL, RETURN
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["Lookahead"]

_TRIED = 200  # states that are tried between what an operation leaves and what a read saw

Timeline = Sequence[tuple[float, int, int]]


class Lookahead:
    """Detects states that cannot lead to the values of the next reads.

    ``settled``: the bit of each operation in a configuration's mask that says that it has taken effect.
    """

    def __init__(
        self,
        model: Model,
        operations: Sequence[HistoryOperation],
        timeline: Timeline,
        settled: Sequence[int],
    ) -> None:
        self.horizon = 0  # the last event whose read ruled something out
        self.active = model.leads is not None and any(op.kind in model.additions for op in operations)
        if not self.active:
            return
        assert model.leads is not None
        self._model, self._leads = model, model.leads
        self._operations, self._settled = operations, settled
        self._called = {i: at for at, (_, what, i) in enumerate(timeline) if what == CALL}
        self._returns = {i: at for at, (_, what, i) in enumerate(timeline) if what == RETURN}
        reads = [op.status == "ok" and op.kind in model.reads for op in operations]
        adds = [op.kind in model.additions for op in operations]
        breaks = [
            not (read or add or (op.known and model.pure(op)))
            for op, read, add in zip(operations, reads, adds, strict=True)
        ]
        self._breaks, self._additions = _During(timeline, breaks, reads), _During(timeline, adds, reads)
        self._free: dict[int, tuple[int, int]] = {}  # read -> an event, and what `_until` found from it on
        self._later: dict[int, int] = {}  # read -> the read that returns next after it; -1: none
        self._next = [-1] * len(timeline)  # event -> the read that returns next
        coming = -1
        for at in range(len(timeline) - 1, -1, -1):
            _, what, i = timeline[at]
            if what == RETURN and reads[i]:
                self._later[i] = coming
                coming = i
            self._next[at] = coming

    def hopeful(self, state: object, mask: int, at: int) -> bool:
        """Whether a configuration at event ``at`` can still lead to what the first read that it owes saw."""
        read = self._next[at]
        while read >= 0 and mask & self._settled[read] and self._called[read] < at:
            read = self._later[read]
        if read < 0 or self._leads(state, self._operations[read]):
            return True
        known = self._free.get(read)
        if known is None or at < known[0]:
            known = self._free[read] = (at, self._until(read, at))
        if known[1] >= at:
            return True
        self.horizon = max(self.horizon, self._returns[read])
        return False

    def _until(self, read: int, at: int) -> int:
        """The last event, from ``at`` on, at which something may take effect that leads to a read by additions only.

        -1: there is none.
        """
        for i, last in self._breaks.between(at, read, self._returns[read]):
            if self._may_lead(i, read):
                return last
        return -1

    def _may_lead(self, operation: int, read: int) -> bool:
        """Whether a read may have seen what an operation left, and what additions at that time made of it."""
        left, seen = self._model.leaves(self._operations[operation]), self._operations[read]
        if left is ILLEGAL:
            return True
        begin = self._called[operation]
        additions = tuple(i for i, _ in self._additions.between(begin, read, self._returns[read]))
        step, tried = self._model.step, 0
        paths = [(left, additions)]
        while paths:
            state, unused = paths.pop()
            if step(state, seen) is not ILLEGAL:
                return True
            tried += 1
            if tried > _TRIED:
                return True  # it is not known
            for at, i in enumerate(unused):
                longer = step(state, self._operations[i])
                if longer is not ILLEGAL and self._leads(longer, seen):
                    paths.append((longer, unused[:at] + unused[at + 1 :]))
        return False


class _During:
    """Some operations, and which of them may take effect in the time before a read returns."""

    def __init__(self, timeline: Timeline, some: Sequence[bool], reads: Sequence[bool]) -> None:
        called = {i: at for at, (_, what, i) in enumerate(timeline) if what == CALL and some[i]}
        self._far = len(timeline)
        self._returned = [(at, i) for at, (_, what, i) in enumerate(timeline) if what == RETURN and some[i]]
        known = {i for _, i in self._returned}  # membership only
        self._unknown = [(at, i) for i, at in called.items() if i not in known]  # in the order of their calls
        self._open: dict[int, tuple[int, ...]] = {}  # read -> the others that are under way when it returns
        under_way: dict[int, None] = {}
        for _, what, i in timeline:
            if what == CALL and i in known:
                under_way[i] = None
            elif what == RETURN:
                under_way.pop(i, None)
                if reads[i]:
                    self._open[i] = tuple(under_way)

    def between(self, begin: int, read: int, end: int) -> Iterator[tuple[int, int]]:
        """Those that may take effect between event ``begin`` and the return of a read, ``end``.

        Each with the last event at which it may: the latest first.
        """
        for at, i in self._unknown:
            if at > end:
                break
            yield i, self._far
        for i in self._open[read]:
            yield i, end
        for last in range(bisect_right(self._returned, (end, -1)) - 1, -1, -1):
            at, i = self._returned[last]
            if at < begin:
                break
            yield i, at
