"""The search for one order of all operations that contains the order of every process (see `sequential`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sim.analysis.checks.models import Model
from sim.analysis.checks.states import States
from sim.analysis.checks.verdict import HistoryOperation

if TYPE_CHECKING:
    from sim.analysis.checks.sequential import ClockOrder

__all__ = ["Interleaved", "Interleaving"]

Taken: TypeAlias = "tuple[Taken, int] | None"  # (earlier, operation)
Branch: TypeAlias = (
    "tuple[tuple[int, ...], tuple[int, ...], Taken]"  # positions, states by key, how it was reached
)


@dataclass(frozen=True, slots=True)
class Interleaved:
    """The result. ``valid`` None: the budget ran out. ``order``: rows of an interleaving. ``stuck``: the next
    operations at the point where most operations had been explained."""

    valid: bool | None
    steps: int
    order: tuple[int, ...] = ()
    stuck: tuple[HistoryOperation, ...] = ()


class Interleaving:
    """Sessions to interleave.

    ``sessions``: known operations, session by session. ``optional``: (operation, session, how many of its operations
    must come first) for those of unknown outcome. ``initial``: the state of each key (of None, where keys are not
    independent). ``order`` (where it is clear which read saw which write) prunes.
    """

    def __init__(
        self,
        model: Model,
        sessions: Sequence[Sequence[HistoryOperation]],
        optional: Sequence[tuple[HistoryOperation, int, int]],
        initial: Mapping[object, object],
        order: ClockOrder | None,
    ) -> None:
        self.known = len(sessions)
        self.lines = [*map(list, sessions), *([op] for op, _, _ in optional)]
        self.requires = {self.known + i: (s, count) for i, (_, s, count) in enumerate(optional)}
        self.operations = [op for line in self.lines for op in line]
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        slots = {key: slot for slot, key in enumerate(initial)}
        self.slot = [slots[op.key if model.by_key else None] for op in self.operations]
        self.states = States(model, self.operations, None)
        self.first = tuple(self.states.number(state) for state in initial.values())
        self.pure = [op.known and model.pure(op) for op in self.operations]
        self.hints = _Hints(self, order) if order is not None else None

    def search(self, budget: int) -> Interleaved:
        """Look for an interleaving; ``budget``: operations that may be tried."""
        steps = 0
        seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        stack: list[Branch] = [((0,) * len(self.lines), self.first, None)]
        deepest: tuple[int, tuple[int, ...]] = (-1, ())
        while stack:
            positions, states, chain = self._settle(*stack.pop())
            if (positions, states) in seen:
                continue
            seen.add((positions, states))
            done = sum(positions[: self.known])
            if done == self.starts[self.known]:
                return Interleaved(True, steps, self._rows(chain))
            if done > deepest[0]:
                deepest = (done, positions)
            found = self._next(positions, states, chain)
            steps += 1 + len(found)
            if steps > budget:
                return Interleaved(None, steps)
            stack += found
        heads = (
            line[at] for line, at in zip(self.lines[: self.known], deepest[1], strict=False) if at < len(line)
        )
        return Interleaved(False, steps, stuck=tuple(heads))

    def _settle(self, positions: tuple[int, ...], states: tuple[int, ...], chain: Taken) -> Branch:
        """Take every read that is legal: it changes nothing."""
        at = list(positions)
        for line in range(self.known):
            while at[line] < len(self.lines[line]):
                i = self.starts[line] + at[line]
                if not self.pure[i] or self.states.after(states[self.slot[i]], self.states.effect[i]) < 0:
                    break
                at[line] += 1
                chain = (chain, i)
        return tuple(at), states, chain

    def _next(self, positions: tuple[int, ...], states: tuple[int, ...], chain: Taken) -> list[Branch]:
        """The possible next operations, the earliest call last (it is tried first)."""
        found: list[tuple[float, int, Branch]] = []
        for line, at in enumerate(positions):
            if at == len(self.lines[line]) or not self._may_start(line, positions):
                continue
            i = self.starts[line] + at
            slot = self.slot[i]
            new = self.states.after(states[slot], self.states.effect[i])
            if new < 0 or (self.hints and not self.hints.allow(i, states[slot], new, slot, positions)):
                continue
            moved = (*positions[:line], at + 1, *positions[line + 1 :])
            changed = (*states[:slot], new, *states[slot + 1 :])
            op = self.operations[i]
            found.append((-op.returned if op.known else float("-inf"), -op.row, (moved, changed, (chain, i))))
        found.sort(key=lambda entry: entry[:2])
        return [node for _, _, node in found]

    def _may_start(self, line: int, positions: tuple[int, ...]) -> bool:
        if line < self.known:
            return True
        session, count = self.requires[line]
        return positions[session] >= count

    def _rows(self, chain: Taken) -> tuple[int, ...]:
        rows: list[int] = []
        while chain is not None:
            chain, i = chain
            rows.append(self.operations[i].row)
        return tuple(reversed(rows))


class _Hints:
    """Known order of items and remaining reads of each write; needs an unambiguous source of each read."""

    def __init__(self, search: Interleaving, order: ClockOrder) -> None:
        relations = order.relations
        rows = relations.trace.rows
        number = {op.row: i for i, op in enumerate(search.operations)}
        line_of = [line for line, found in enumerate(search.lines) for _ in found]
        place_of = [i - search.starts[line] for i, line in enumerate(line_of)]
        self.needs: list[list[tuple[int, int]]] = [[] for _ in search.operations]
        self.readers: dict[tuple[int, int], list[tuple[int, int]]] = {}
        lanes: list[list[int]] = [[] for _ in range(relations.lanes)]
        for item in relations.items:
            lanes[relations.lane[item]].append(number[rows[item]])
        for item in relations.items:
            i = number[rows[item]]
            for lane, count in enumerate(order.clocks[item].tolist()):
                last = lanes[lane][count - 1] if count else i
                if line_of[last] != line_of[i]:
                    self.needs[i].append((line_of[last], place_of[last] + 1))
            if not relations.write[item] and search.operations[i].known:
                value = relations.trace.history.values[relations.trace.value[item]]
                version = (search.slot[i], search.states.number(value))
                self.readers.setdefault(version, []).append((line_of[i], place_of[i]))
        self._place = [(line_of[i], place_of[i]) for i in range(len(line_of))]

    def allow(self, i: int, state: int, new: int, slot: int, positions: tuple[int, ...]) -> bool:
        """Whether all required predecessors are done, and no remaining read needs the value that it replaces."""
        if not all(positions[line] >= count for line, count in self.needs[i]):
            return False
        if state == new:
            return True
        readers = self.readers.get((slot, state), ())
        return all(positions[line] > place or (line, place) == self._place[i] for line, place in readers)
