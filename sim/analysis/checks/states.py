"""Numbers for the states and effects of a search, and the timeline of its calls and returns."""

from __future__ import annotations

from collections.abc import Sequence

from sim.analysis.checks.models import ILLEGAL, Model
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["CALL", "RETURN", "States", "events"]

CALL, RETURN = 0, 1


class States:
    """States and effects as small integers, and a table of transitions that is filled on demand."""

    def __init__(self, model: Model, operations: Sequence[HistoryOperation], initial: object) -> None:
        self._step = model.step
        self._numbers: dict[object, int] = {}
        self.states: list[object] = []
        self._next: list[dict[int, int]] = []
        self._start = initial
        effects: dict[object, int] = {}
        self.samples: list[HistoryOperation] = []
        self.effect: list[int] = []  # of each operation
        for op in operations:
            name = (op.kind, op.key, op.value, op.result if op.known else None, op.status)
            number = effects.setdefault(name, len(effects))
            if number == len(self.samples):
                self.samples.append(op)
            self.effect.append(number)
        self.initial = self.number(initial)

    def forget(self, used: set[int]) -> dict[int, int]:
        """Keep only these states; their new numbers."""
        held = {number: self.states[number] for number in sorted(used)}
        self._numbers, self.states, self._next = {}, [], []
        return {number: self.number(state) for number, state in held.items()}

    def restart(self) -> int:
        """Forget all states but the initial one; its number."""
        self.forget(set())
        return self.number(self._start)

    def number(self, state: object) -> int:
        """The number of a state."""
        number = self._numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self._next.append({})
        return number

    def after(self, state: int, effect: int) -> int:
        """The state after an effect; -1 where it is illegal."""
        row = self._next[state]
        if effect not in row:
            reached = self._step(self.states[state], self.samples[effect])
            row[effect] = -1 if reached is ILLEGAL else self.number(reached)
        return row[effect]


def events(operations: Sequence[HistoryOperation]) -> list[tuple[float, int, int]]:
    """(time, 0 for a call or 1 for a return, operation), in order; at equal times calls sort before returns, and
    what returns first is called first."""
    found = [(op.called, CALL, i) for i, op in enumerate(operations)]
    found += [(op.returned, RETURN, i) for i, op in enumerate(operations) if op.known]
    return sorted(found, key=lambda event: (*event[:2], operations[event[2]].returned, event[2]))
