"""Lookahead to the next read of an object that can only grow until then.

A wrong order of appends is detected at the next read only; by then there is one configuration for each order.
If only additions can take effect before a read returns, the value that it returned must begin with the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.analysis.checks.models import Model
from sim.analysis.checks.states import CALL, RETURN
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["Lookahead"]


class Lookahead:
    """Detects states that cannot lead to the values of the next reads.

    ``settled``: the bit of each operation in a configuration's mask that says that it has taken effect.
    """

    def __init__(
        self,
        model: Model,
        operations: Sequence[HistoryOperation],
        timeline: Sequence[tuple[float, int, int]],
        settled: Sequence[int],
    ) -> None:
        self.horizon = 0  # the last event whose read ruled something out
        self.active = model.leads is not None and any(op.kind in model.additions for op in operations)
        if not self.active:
            return
        self._leads = model.leads
        self._operations, self._settled = operations, settled
        reads = [op.status == "ok" and op.kind in model.reads for op in operations]
        breaks = [
            not read and op.kind not in model.additions for read, op in zip(reads, operations, strict=True)
        ]
        self._called = {i: at for at, (_, what, i) in enumerate(timeline) if what == CALL}
        self._returns = {i: at for at, (_, what, i) in enumerate(timeline) if what == RETURN}
        far = len(timeline)
        bound = min(
            (self._called[i] for i, b in enumerate(breaks) if b and not operations[i].known), default=far
        )
        coming = -1
        self._later: dict[int, int] = {}  # read -> the read that returns next after it; -1: none
        self._next = [-1] * far  # event -> the read that returns next
        self._bound = [0] * far  # event -> when something other than an addition may first take effect
        for at in range(far - 1, -1, -1):
            _, what, i = timeline[at]
            if what == RETURN and breaks[i]:
                bound = min(bound, self._called[i])
            if what == RETURN and reads[i]:
                self._later[i] = coming
                coming = i
            self._next[at], self._bound[at] = coming, bound

    def hopeful(self, state: Any, mask: int, at: int) -> bool:
        """Whether a configuration at event ``at`` can still lead to what the first read that it owes saw."""
        read, bound = self._next[at], self._bound[at]
        while read >= 0 and mask & self._settled[read] and self._called[read] < at:
            read = self._later[read]
        if read < 0 or self._returns[read] >= bound or self._leads is None:
            return True
        if self._leads(state, self._operations[read]):
            return True
        self.horizon = max(self.horizon, self._returns[read])
        return False
