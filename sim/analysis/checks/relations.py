"""Session order and the reads-from relation, on which the weak models are defined.

An *item* is one read or one write. A successful cas is a read of the expected value and then a write of the new one,
a delete a write of null. Session order (PO) is the order of the operations of one process. A write of unknown outcome
comes after what its process did before it, but before nothing: it may take effect at any later time. It is left
out unless a read saw it. What failed, and reads without an answer, are left out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.analysis.checks.columns import FAIL, INFO, READS, WRITES, History

__all__ = ["INITIAL", "NOBODY", "HistoryItems", "Pattern", "Relations", "find_cycle"]

INITIAL = -1
"""The source of a read that saw the initial value of its key."""
NOBODY = -2
"""The source of a read whose value was never written."""

Clocks = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A reason why a history does not satisfy a model: its name in the literature, rows, and the argument."""

    name: str
    rows: tuple[int, ...]
    reason: str


@dataclass(eq=False)
class HistoryItems:
    """The items of a history, in parallel lists.

    ``session[i]`` and ``place[i]`` say where item i stands; ``sessions[s]`` lists the items of a session. A write of
    unknown outcome is a session of its own, that begins after the item ``follows[s]`` (-1: from the start).
    ``candidates[r]``: the writes (or `INITIAL`) that the read r may have seen, the most likely first.
    """

    history: History
    rows: list[int] = field(default_factory=list)
    session: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    value: list[int] = field(default_factory=list)
    write: list[bool] = field(default_factory=list)
    sessions: list[list[int]] = field(default_factory=list)
    follows: list[int] = field(default_factory=list)
    known: int = 0  # sessions before this one have answers; the others are writes of unknown outcome
    candidates: dict[int, list[int]] = field(default_factory=dict)
    overlapping: bool = False
    """Whether some process had two operations open at once (their order is then the order of their returns)."""

    @classmethod
    def of(cls, history: History, initial: Iterable[int]) -> HistoryItems:
        """Read a history; ``initial``: the code of the value that each key starts with.

        Raises ValueError when there is no process column, or for operations that are neither reads nor writes.
        """
        if history.process is None:
            raise ValueError("this model is about sessions: the history needs a column 'process'")
        strange = set(history.kinds) - {*READS, *WRITES, "cas", "delete", "scan"}
        if strange:
            raise ValueError(
                f"this model is about reads and writes; the history has {', '.join(sorted(strange))}"
            )
        trace = cls(history)
        trace._read_sessions()
        trace._find_candidates(list(initial))
        return trace

    def _read_sessions(self) -> None:
        h = self.history
        assert h.process is not None
        untimed = np.arange(len(h), dtype=np.float64)
        call, returned = (h.called, h.returned) if h.timed else (untimed, untimed)
        binds = (h.status != FAIL) & ~h.kind_is("scan")
        known = np.flatnonzero(binds & (h.status != INFO))
        known = known[np.lexsort((known, call[known], returned[known], h.process[known]))]
        bounds = np.searchsorted(h.process[known], np.arange(len(h.processes) + 1))
        ends: list[list[float]] = []
        for p in range(len(h.processes)):
            rows = known[bounds[p] : bounds[p + 1]].tolist()
            self.overlapping |= bool(np.any(call[rows[1:]] < returned[rows[:-1]])) if h.timed else False
            self._begin(-1)
            ends.append([])
            for row in rows:
                ends[p] += [float(returned[row])] * self._add(row)
        self.known = len(self.sessions)
        for row in np.flatnonzero(binds & (h.status == INFO) & ~h.kind_is(*READS)).tolist():
            p = int(h.process[row])
            before = bisect_right(ends[p], float(call[row])) - 1
            self._begin(self.sessions[p][before] if before >= 0 else -1)
            self._add(row)

    def _begin(self, follows: int) -> None:
        self.sessions.append([])
        self.follows.append(follows)

    def _add(self, row: int) -> int:
        """Append the items of an operation to the last session; how many."""
        h = self.history
        kind, value = h.kinds[h.kind[row]], int(h.value[row])
        parts: list[tuple[bool, int]]
        if kind in READS:
            parts = [(False, value)]
        elif kind == "cas":
            parts = [(False, int(h.expected[row])), (True, value)]
        else:
            parts = [(True, 0 if kind == "delete" else value)]
        for write, code in parts:
            self.sessions[-1].append(len(self.rows))
            self.session.append(len(self.sessions) - 1)
            self.place.append(len(self.sessions[-1]) - 1)
            self.rows.append(row)
            self.key.append(int(h.key[row]))
            self.value.append(code)
            self.write.append(write)
        return len(parts)

    def _find_candidates(self, initial: list[int]) -> None:
        writes: dict[tuple[int, int], list[int]] = {}
        for i, write in enumerate(self.write):
            if write:
                writes.setdefault((self.key[i], self.value[i]), []).append(i)
        h = self.history
        for i, write in enumerate(self.write):
            if write:
                continue
            key, value = self.key[i], self.value[i]
            possible = writes.get((key, value), [])
            found = [w for w in possible if not self.precedes(i, w)]
            late: list[int] = []
            if h.timed:
                end = h.returned[self.rows[i]]
                found.sort(key=lambda w: (-h.called[self.rows[w]], w))
                late = [w for w in found if h.called[self.rows[w]] > end]
                found = [w for w in found if h.called[self.rows[w]] <= end]
            found += [INITIAL] if value == initial[key] else []
            self.candidates[i] = found + late or possible

    def hopeless(self, pattern: Pattern) -> bool:
        """Whether the read of this pattern returned a value that was never written, so that no reading can be valid."""
        row = pattern.rows[0]
        return any(
            self.rows[item] == row and self.session[item] < self.known and not possible
            for item, possible in self.candidates.items()
        )

    def precedes(self, a: int, b: int) -> bool:
        """Whether item a comes before item b in session order."""
        if self.session[a] == self.session[b]:
            return self.place[a] < self.place[b]
        follows = self.follows[self.session[b]]
        return (
            follows >= 0 and self.session[follows] == self.session[a] and self.place[a] <= self.place[follows]
        )

    # Reading from

    @property
    def choices(self) -> int:
        """The number of possible reads-from relations."""
        count = 1
        for found in self.candidates.values():
            count *= max(1, len(found))
        return count

    def readings(self) -> Iterator[Relations]:
        """Every way in which the reads may have seen the writes, the most likely first."""
        reads = list(self.candidates)
        for sources in product(*(self.candidates[r] or [NOBODY] for r in reads)):
            yield Relations(self, dict(zip(reads, sources, strict=True)))

    # Words

    def tell(self, item: int) -> str:
        """An item as the operation it belongs to."""
        return str(self.history.operation(self.rows[item]))


class Relations:
    """Session order and one way to read from writes, without the writes of unknown outcome that nobody saw.

    ``source[r]``: the write (or `INITIAL`) that read r saw. ``items``: what is left, session by session.
    """

    def __init__(self, trace: HistoryItems, source: Mapping[int, int]) -> None:
        self.trace = trace
        self.session, self.place, self.key, self.write = trace.session, trace.place, trace.key, trace.write
        alive = self._alive(source)
        self.sessions = [
            items if s < trace.known or s in alive else [] for s, items in enumerate(trace.sessions)
        ]
        self.items = [i for items in self.sessions for i in items]
        lanes = {s: lane for lane, s in enumerate(s for s, items in enumerate(self.sessions) if items)}
        self.lanes = len(lanes)
        self.lane = [lanes.get(s, -1) for s in self.session]  # item -> the column of its session in a clock
        self.source = {i: source[i] for i in self.items if i in source}
        self.readers: dict[int, list[int]] = {}
        for read, write in self.source.items():
            if write >= 0:
                self.readers.setdefault(write, []).append(read)
        self.starts: dict[int, list[int]] = {}  # item -> the sessions of unknown outcome that follow it
        for s, items in enumerate(self.sessions):
            if items and trace.follows[s] >= 0:
                self.starts.setdefault(trace.follows[s], []).append(s)
        self.writers: dict[
            int, dict[int, tuple[list[int], list[int]]]
        ] = {}  # key -> session -> places, items
        for i in self.items:
            if self.write[i]:
                places, items = self.writers.setdefault(self.key[i], {}).setdefault(self.session[i], ([], []))
                places.append(self.place[i])
                items.append(i)

    def _alive(self, source: Mapping[int, int]) -> set[int]:
        """The sessions of unknown outcome whose write was read."""
        trace = self.trace
        pending = [w for r, w in source.items() if w >= 0 and trace.session[r] < trace.known]
        alive: set[int] = set()
        while pending:
            s = trace.session[pending.pop()]
            if s >= trace.known and s not in alive:
                alive.add(s)
                pending += [source[i] for i in trace.sessions[s] if source.get(i, INITIAL) >= 0]
        return alive

    def thin_air(self) -> Pattern | None:
        """A read of a value that was never written; None: there is none."""
        for read, write in self.source.items():
            if write == NOBODY:
                reason = f"nobody wrote what {self.trace.tell(read)} saw."
                return Pattern("ThinAirRead", (self.trace.rows[read],), reason)
        return None

    @property
    def seers(self) -> list[int]:
        """The sessions that read something."""
        return [s for s, items in enumerate(self.sessions) if any(not self.write[i] for i in items)]

    # The graph of session order and reading

    def before(self, item: int) -> int:
        """The item before it in session order; -1: none."""
        s, place = self.session[item], self.place[item]
        return self.sessions[s][place - 1] if place else self.trace.follows[s]

    def line(self, s: int) -> list[int]:
        """The items of a session, after those that it follows."""
        follows = self.trace.follows[s]
        if follows < 0:
            return self.sessions[s]
        return self.sessions[self.session[follows]][: self.place[follows] + 1] + self.sessions[s]

    def following(self, item: int) -> list[int]:
        """The items directly after it in session order."""
        place = self.place[item] + 1
        found = self.sessions[self.session[item]][place : place + 1]
        return found + [self.sessions[s][0] for s in self.starts.get(item, ())]

    def after(self, item: int) -> list[int]:
        """The items directly after it in session order, and those that read from it."""
        return self.following(item) + self.readers.get(item, [])

    def sorted(self, extra: Mapping[int, list[int]] | None = None) -> list[int]:
        """The items in an order that contains session order, reading and ``extra`` edges; shorter if there is none."""
        extra = extra or {}
        waiting = dict.fromkeys(self.items, 0)
        for i in self.items:
            for j in (*self.after(i), *extra.get(i, ())):
                waiting[j] += 1
        ready = deque(i for i in self.items if not waiting[i])
        order: list[int] = []
        while ready:
            i = ready.popleft()
            order.append(i)
            for j in (*self.after(i), *extra.get(i, ())):
                waiting[j] -= 1
                if not waiting[j]:
                    ready.append(j)
        return order

    def clocks(self, order: list[int]) -> Clocks:
        """For every item, how many items of every session are in its causal past, itself included."""
        clocks = np.zeros((len(self.trace.rows), self.lanes), dtype=np.int32)
        for i in order:
            clock = clocks[i]
            previous = self.before(i)
            if previous >= 0:
                clock[:] = clocks[previous]
            source = self.source.get(i, INITIAL)
            if source >= 0:
                np.maximum(clock, clocks[source], out=clock)
            clock[self.lane[i]] = self.place[i] + 1
        return clocks

    def latest_writes(self, key: int, clock: Any) -> Iterator[int]:
        """Of every session, the last write to the key that a clock contains."""
        for places, items in self.writers.get(key, {}).values():
            at = bisect_left(places, clock[self.lane[items[0]]])
            if at:
                yield items[at - 1]

    # Words

    def path(self, start: int, end: int, extra: Mapping[int, list[int]] | None = None) -> list[int]:
        """A shortest path along session order, reading and ``extra`` edges; empty if there is none."""
        extra = extra or {}
        came: dict[int, int] = {start: start}
        queue = deque([start])
        while queue:
            i = queue.popleft()
            for j in (*self.after(i), *extra.get(i, ())):
                if j not in came:
                    came[j] = i
                    queue.append(j)
                if j == end:
                    found = [end, i]
                    while found[-1] != start:
                        found.append(came[found[-1]])
                    return found[::-1]
        return []

    def rows(self, items: Iterable[int]) -> tuple[int, ...]:
        """The distinct rows of items, in order."""
        return tuple(dict.fromkeys(self.trace.rows[i] for i in items if i >= 0))


def find_cycle(relations: Relations, extra: Mapping[int, list[int]] | None = None) -> list[int]:
    """Items that follow each other in a circle, shortest from where it is met first; empty if there is none."""
    order = set(relations.sorted(extra))
    left = [i for i in relations.items if i not in order]
    if not left:
        return []
    extra = extra or {}
    inside = set(left)
    entering: dict[int, int] = {}
    for i in left:
        for j in (*relations.after(i), *extra.get(i, ())):
            if j in inside:
                entering[j] = i
    seen: set[int] = set()
    at = left[0]
    while at not in seen:  # walk back: every item that is left has a predecessor that is left
        seen.add(at)
        at = entering[at]
    return relations.path(at, at, extra)[:-1]
