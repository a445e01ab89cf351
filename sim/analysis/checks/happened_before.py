"""Constraints of one session on the order of all writes: the relation HB of causal memory, and that of PRAM.

The least relation that contains a base order and is closed under: if w1 comes before a read r of the session, r saw
w2, and both wrote the same key, then w1 comes before w2. The session can be explained iff the relation has no cycle
and no write comes before a read of the initial value (Bouajjani et al., POPL 2017, section 4: CyclicHB and
WriteHBInitRead; the last operation of the session suffices, because the relation grows along the session).
A work list computes its fixpoint; clocks represent it, because it contains session order.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import numpy as np

from sim.analysis.checks.relations import INITIAL, Clocks, Pattern, Relations

__all__ = ["WriteOrder", "pram"]


def pram(relations: Relations) -> Pattern | None:
    """PRAM (Lipton & Sandberg 1988): every session sees the writes of every other session in their order."""
    for s in relations.seers:
        found = WriteOrder.pram(relations, s).violation()
        if found is not None:
            return found
    return None


class WriteOrder:
    """The order of writes as session ``s`` needs it. Build it by `causal` or `pram`. ``line``: its own items."""

    def __init__(self, relations: Relations, s: int, name: str) -> None:
        self.relations, self.name = relations, name
        self.line = relations.line(s)
        self.own = set(self.line)  # membership only
        self.clocks: dict[int, Any] = {}  # item -> its clock, where it differs from the base
        self.base: Clocks | None = None
        self.horizon: Any = None
        self.forced: dict[int, list[int]] = {}
        self.because: dict[tuple[int, int], int] = {}
        self.broken: tuple[int, int] | None = None  # (a, b): a must come before b, and b before a

    @classmethod
    def causal(cls, relations: Relations, s: int, clocks: Clocks) -> WriteOrder:
        """HB of the last item of session ``s``; ``clocks`` are those of CO."""
        view = cls(relations, s, "HB")
        view.base = clocks
        view.horizon = clocks[view.line[-1]]
        return view

    @classmethod
    def pram(cls, relations: Relations, s: int) -> WriteOrder:
        """Session order of all writes, and what the reads of session ``s`` saw."""
        view = cls(relations, s, "PRAM")
        for i in view.line:
            clock = np.zeros(relations.lanes, dtype=np.int32)
            source = relations.source.get(i, INITIAL)
            for other in (relations.before(i), source):
                if other >= 0:
                    np.maximum(clock, view.clock(other), out=clock)
            if clock[relations.lane[i]] > relations.place[i]:
                view.broken = (source, i)
            clock[relations.lane[i]] = relations.place[i] + 1
            view.clocks[i] = clock
        return view

    # The order

    def clock(self, item: int) -> Any:
        """The clock of an item: for each session, the number of its items up to and including this one."""
        found = self.clocks.get(item)
        if found is not None:
            return found
        return self.base[item] if self.base is not None else self._own(item)

    def _own(self, item: int) -> Any:
        """The clock of session order alone."""
        relations = self.relations
        clock = np.zeros(relations.lanes, dtype=np.int32)
        clock[relations.lane[item]] = relations.place[item] + 1
        follows = relations.trace.follows[relations.session[item]]
        if follows >= 0:
            clock[relations.lane[follows]] = relations.place[follows] + 1
        return clock

    def _after(self, item: int) -> list[int]:
        """The items that directly follow an item in this order."""
        relations = self.relations
        seen = relations.readers.get(item, [])
        if self.base is None:
            found = relations.following(item) + [j for j in seen if j in self.own]
        else:
            past = relations.following(item) + seen
            found = [j for j in past if relations.place[j] < self.horizon[relations.lane[j]]]
        return found + self.forced.get(item, [])

    def comes_before(self, a: int, b: int) -> bool:
        """Whether a comes before b (or is b)."""
        return bool(self.clock(b)[self.relations.lane[a]] > self.relations.place[a])

    # The fixpoint

    def violation(self) -> Pattern | None:
        """CyclicHB or WriteHBInitRead, or None."""
        relations = self.relations
        reads = deque(i for i in self.line if not relations.write[i])
        queued = set(reads)
        if self.broken is not None:
            return self._cycle(*self.broken)
        while reads:
            read = reads.popleft()
            queued.discard(read)
            source = relations.source[read]
            for older in list(relations.latest_writes(relations.key[read], self.clock(read))):
                if source == INITIAL:
                    return self._initial(older, read)
                if older == source or self.comes_before(older, source):
                    continue
                self.because[older, source] = read
                self.forced.setdefault(older, []).append(source)
                for grown in self._grow(older, source):
                    if grown not in queued:
                        queued.add(grown)
                        reads.append(grown)
                if self.broken is not None:
                    return self._cycle(*self.broken)
        return None

    def _grow(self, start: int, end: int) -> list[int]:
        """Everything before ``start`` now comes before ``end`` and what follows it: the reads whose past grew."""
        grown: list[int] = []
        work = deque([(start, end)])
        while work:
            a, b = work.popleft()
            if self.comes_before(b, a):
                self.broken = (b, a)
                return grown
            clock = np.maximum(self.clock(a), self.clock(b))
            if np.array_equal(clock, self.clock(b)):
                continue
            self.clocks[b] = clock
            if b in self.own and not self.relations.write[b]:
                grown.append(b)
            work.extend((b, c) for c in self._after(b))
        return grown

    # Words

    def _initial(self, older: int, read: int) -> Pattern:
        tell = self.relations.trace.tell
        rows, told = self._told(self._path(older, read))
        name = "WriteHBInitRead" if self.name == "HB" else "an overwritten initial value"
        reason = (
            f"process {self._who()} cannot order the writes: {tell(older)} comes before {tell(read)}, which saw the "
            f"initial value{told}."
        )
        return Pattern(name, rows, reason)

    def _cycle(self, a: int, b: int) -> Pattern:
        circle = [*self._path(a, b), *self._path(b, a)]
        rows, told = self._told(circle)
        name = "CyclicHB" if self.name == "HB" else "a cycle in PRAM order"
        tell = self.relations.trace.tell
        reason = (
            f"process {self._who()} cannot order the writes: {tell(a)} comes before {tell(b)} "
            f"and the other way round{told}."
        )
        return Pattern(name, rows, reason)

    def _who(self) -> object:
        trace = self.relations.trace
        return trace.history.operation(trace.rows[self.line[0]]).process

    def _told(self, path: list[int]) -> tuple[tuple[int, ...], str]:
        tell = self.relations.trace.tell
        steps = [(a, b) for a, b in itertools.pairwise(path) if (a, b) in self.because]
        told = "".join(
            f"; {tell(a)} before {tell(b)} because of {tell(self.because[a, b])}"
            for a, b in dict.fromkeys(steps)
        )
        return self.relations.rows([*path, *(self.because[step] for step in steps)]), told

    def _path(self, start: int, end: int) -> list[int]:
        came: dict[int, int] = {start: start}
        queue = deque([start])
        while queue and end not in came:
            i = queue.popleft()
            for j in self._after(i):
                if j not in came:
                    came[j] = i
                    queue.append(j)
        if end not in came:
            return [start, end]
        path = [end]
        while path[-1] != start:
            path.append(came[path[-1]])
        return path[::-1]
