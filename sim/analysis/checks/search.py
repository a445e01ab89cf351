"""Linearizability of any model by a just-in-time search over configurations.

After Wing & Gong (1993) and Lowe, "Testing for linearizability" (2017), just-in-time linearization: walk through
calls and returns in order of time and keep the set of all *configurations* the object may be in: which of the open
operations have taken effect (a bit mask), and the state. Operations take effect only when some operation is about to
return; then configurations in which it has not are expanded until it has. The first return that leaves no
configuration is the violation. Five reductions keep the set small, and each is exact:

* a read takes effect as soon as it is legal: it changes nothing;
* of open operations with the same effect only the one that returns first is tried;
* an overwrite (a plain write) hides what came just before it: every other overwrite (or append) that is open at that
  moment may have happened then, unseen, so from then on it *may* still be used but need not be;
* of two configurations with the same state one is dropped if the other owes less and has used less (an antichain):
  operations of unknown outcome and hidden overwrites owe nothing, reads that are done owe nothing;
* a write of unknown outcome whose value nobody saw is dropped before (`drop_unseen`, registers only).
"""

from __future__ import annotations

import sys
from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sim.analysis.checks.lookahead import Lookahead
from sim.analysis.checks.models import Model
from sim.analysis.checks.reductions import Antichains, bits, follows
from sim.analysis.checks.states import CALL, States, events
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["MOST_KEPT", "Found", "search"]

MOST_KEPT = 500_000
"""Configurations that are kept at one return; more would take gigabytes."""

_WIDTHS = (64, 2048, sys.maxsize)  # configurations kept at each return, in one attempt after the other
_FORGET = 4096  # states that are numbered before those out of use are forgotten
_CERTAIN = 32  # moments of a certain state that are remembered, for counterexamples

Linearized: TypeAlias = (
    "tuple[Linearized, int, int] | None"  # (earlier, operation, event at which it took effect)
)
Configurations = dict[tuple[int, int], Linearized]  # (mask, state) -> how it was reached


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a search.

    ``valid`` None: the budget ran out, or, where it is ``crowded``, the room for configurations (`MOST_KEPT`).
    ``failed``: the operation whose return nothing explains (an index into the operations given), and ``states`` what
    the object may have been just before. ``certain``: (index, state) for the last replies after which, whatever the
    order, there was only one state left. ``order``: indices, a witness.
    """

    valid: bool | None
    steps: int
    failed: int | None = None
    states: tuple[object, ...] = ()
    certain: tuple[tuple[int, object], ...] = ()
    order: tuple[int, ...] | None = None
    crowded: bool = False


def search(
    model: Model,
    operations: Sequence[HistoryOperation],
    initial: object,
    budget: int,
    *,
    witness: bool = False,
) -> Found:
    """Whether the operations of one object (no failed ones, unless they assert something) have a linearization.

    ``budget``: how many transitions may be tried. An operation of unknown outcome (status info) may take effect at
    any time after its call or never. First only the most promising configurations are kept at each return, which
    is enough to find most witnesses; a violation counts only when nothing was left out.
    """
    steps = 0
    for width in _WIDTHS:
        attempt = _Search(model, operations, initial, budget - steps, width)
        found = attempt.run(witness)
        steps += found.steps
        if found.valid is None or found.valid or not attempt.truncated:
            break
    return replace(found, steps=steps)


class _Search:
    """The state of one search.

    A configuration is (mask, state). Each open operation has two bits in the mask: *settled* (it took effect or may
    have, unseen: nothing is owed at its return) and *used* (it took effect visibly and cannot do so again).
    """

    def __init__(
        self, model: Model, operations: Sequence[HistoryOperation], initial: object, budget: int, width: int
    ) -> None:
        self.model, self.operations = model, operations
        self.states = States(model, operations, initial)
        self.timeline = events(operations)
        self.settled, self.used = bits(operations, self.timeline)
        self.pure = [op.known and model.pure(op) for op in operations]
        self.overwrites = [op.kind in model.overwrites for op in operations]
        self.replies = [
            pure or op.result is not None or op.kind == "dequeue"
            for pure, op in zip(self.pure, operations, strict=True)
        ]
        self.certain: deque[tuple[int, object]] = deque(maxlen=_CERTAIN)
        self.ahead = Lookahead(model, operations, self.timeline, self.settled)
        self.budget, self.width = budget, width
        self.truncated = False
        self.crowded = False
        self.steps = 0
        self.reads: dict[int, int] = {}  # effect -> settled bits of the open reads
        self.additions: dict[int, int] = {}  # open additions -> settled bit
        self.legal: dict[int, int] = {}  # state -> settled bits of the open reads that are legal in it
        self.writes: dict[int, list[tuple[float, int]]] = {}  # effect -> (return, operation), in order
        self.follows = follows(operations)
        self.waits: dict[int, int] = {}  # open operation -> the open one that its process had called before
        self.owed = 0  # settled bits of all open operations
        self.hidden = 0  # settled bits of the open overwrites

    def run(self, witness: bool) -> Found:
        configurations: Configurations = {(0, self.states.initial): None}
        for at, (_, what, i) in enumerate(self.timeline):
            if what == CALL:
                self._open(i)
                continue
            reached = self._expand(configurations, i, at)
            if self.steps > self.budget or self.crowded:
                return Found(None, self.steps, crowded=self.crowded)
            if not reached:
                held = {self.states.states[state]: None for _, state in configurations}
                _, _, failed = self.timeline[max(at, self.ahead.horizon)]
                return Found(False, self.steps, failed, tuple(held), tuple(self.certain))
            self._close(i)
            configurations = self._prune(reached) if len(reached) > 1 else reached
            if self.replies[i] and len({state for _, state in configurations}) == 1:
                self.certain.append((i, self.states.states[next(iter(configurations))[1]]))
            if len(self.states.states) > _FORGET:
                configurations = self._forget(configurations)
        order = self._witness(next(iter(configurations.values()))) if witness else None
        return Found(True, self.steps, order=order)

    def _forget(self, configurations: Configurations) -> Configurations:
        """Drop the states that no configuration is in: memory stays linear however long the history."""
        moved = self.states.forget({state for _, state in configurations})
        self.legal.clear()
        return {(mask, moved[state]): chain for (mask, state), chain in configurations.items()}

    def _open(self, i: int) -> None:
        effect, bit = self.states.effect[i], self.settled[i]
        self.owed |= bit
        before = self.follows.get(i, -1)
        if before >= 0 and self.owed & self.settled[before]:
            self.waits[i] = before
        if self.pure[i]:
            self.reads[effect] = self.reads.get(effect, 0) | bit
            self.legal.clear()
            return
        insort(self.writes.setdefault(effect, []), (self.operations[i].returned, i))
        if self.overwrites[i]:
            self.hidden |= bit
        elif bit and self.operations[i].kind in self.model.additions:
            self.additions[i] = bit

    def _close(self, i: int) -> None:
        effect, bit = self.states.effect[i], self.settled[i]
        self.owed &= ~bit
        self.hidden &= ~bit
        if self.waits:
            self.waits = {later: before for later, before in self.waits.items() if before != i}
        if self.pure[i]:
            self.reads[effect] &= ~bit
            if not self.reads[effect]:
                del self.reads[effect]
            self.legal.clear()
            return
        self.additions.pop(i, None)
        waiting = self.writes[effect]
        waiting.remove((self.operations[i].returned, i))
        if not waiting:
            del self.writes[effect]

    def _legal(self, state: int) -> int:
        """The settled bits of the open reads that may take effect in this state."""
        mask = self.legal.get(state)
        if mask is None:
            mask = 0
            for effect, bits in self.reads.items():
                if self.states.after(state, effect) >= 0:
                    mask |= bits
            self.legal[state] = mask
        return mask

    def _absorbed(self, state: int) -> int:
        """The settled bits of the open additions that an overwrite of this state hides."""
        held, absorbs = self.states.states[state], self.model.absorbs
        return sum(bit for i, bit in self.additions.items() if absorbs(held, self.operations[i]))

    def _expand(self, configurations: Configurations, target: int, at: int) -> Configurations:
        """The configurations in which ``target`` is settled, its bits cleared: it returns at event ``at``.

        Where it is settled without having been used, this is also the last moment to use it.
        """
        wanted, last = self.settled[target], self.used[target]
        keep = ~(wanted | last)
        reached: Configurations = {}
        front = Antichains(self.owed)
        paths: list[tuple[int, int, Linearized]] = []
        for (mask, state), chain in configurations.items():
            mask |= self._legal(state) if not self.waits else self._allowed(self._legal(state), mask)
            if mask & wanted:
                reached.setdefault((mask & keep, state), chain)
            if not mask & last and not (mask & wanted and self.pure[target]) and front.adds(mask, state):
                paths.append((mask, state, chain))
        after, legal, states = self.states.after, self._legal, self.states.states
        hopeful = self.ahead.hopeful if self.ahead.active else None
        groups = self._groups()
        most = 8 * self.width
        for mask, state, chain in paths:  # grows while it is walked: fewest steps first
            if self.steps > self.budget:
                return reached
            if len(paths) > MOST_KEPT:
                self.crowded = True
                return reached
            if len(paths) > most and len(reached) >= self.width:
                self.truncated = True
                return reached
            for effect, choices in groups:
                choice = next((c for c in choices if not mask & c[1]), None)
                if choice is None:
                    continue
                i, _, done = choice
                self.steps += 1
                new = after(state, effect)
                if new < 0:
                    continue
                if self.waits:
                    then = self._in_turn(mask, state, new, i)
                    if then < 0:
                        continue
                else:
                    then = mask | done | legal(new)
                    if self.additions and self.overwrites[i]:
                        then |= self._absorbed(state)
                if hopeful is not None and not hopeful(states[new], then, at):
                    continue
                if then & wanted:
                    reached.setdefault((then & keep, new), (chain, i, at))
                    if i == target or self.pure[target]:
                        continue
                if front.adds(then, new):
                    paths.append((then, new, (chain, i, at)))
        return reached

    def _groups(self) -> list[tuple[int, list[tuple[int, int, int]]]]:
        """The operations to try: open ones grouped by effect, the first to return first; queued ones separately."""
        if not self.waits:
            return [(effect, self._choices(waiting)) for effect, waiting in self.writes.items()]
        queued = {*self.waits, *self.waits.values()}  # membership only
        groups = []
        for effect, waiting in self.writes.items():
            groups.append((effect, self._choices([w for w in waiting if w[1] not in queued])))
            groups += [(effect, self._choices([w])) for w in waiting if w[1] in queued]
        for i in self.waits:
            if self.pure[i]:
                groups.append((self.states.effect[i], [(i, self.settled[i], self.settled[i])]))
        return [group for group in groups if group[1]]

    # Two operations of one process, of which the second is called at the instant at which the first returns

    def _allowed(self, bits: int, mask: int) -> int:
        """The settled bits of operations whose predecessor in their process is certainly done."""
        left = -1
        while left != bits:
            left = bits
            for i, before in self.waits.items():
                pure = self.pure[before]
                done = (mask | bits) & self.settled[before] if pure else mask & self.used[before]
                if not done:
                    bits &= ~self.settled[i]
        return bits

    def _in_turn(self, mask: int, state: int, new: int, i: int) -> int:
        """The mask after operation i took effect; -1 if it is not its turn."""
        then = mask | self.settled[i] | (0 if self.pure[i] else self.used[i])
        before = self.waits.get(i, -1)
        if before >= 0:
            if not mask & (self.settled[before] | self.used[before]):
                return -1
            then |= 0 if self.pure[before] else self.used[before]  # it happened before, unseen or not
        if self.overwrites[i]:
            gone = self.hidden | (self._absorbed(state) if self.additions else 0)
            then |= self._allowed(gone, mask)
        return then | self._allowed(self._legal(new), then)

    def _choices(self, waiting: list[tuple[float, int]]) -> list[tuple[int, int, int]]:
        """(operation, its used bit, all bits that its taking effect sets) for open operations of one effect."""
        return [
            (i, self.used[i], self.used[i] | self.settled[i] | (self.hidden if self.overwrites[i] else 0))
            for _, i in waiting
        ]

    def _prune(self, configurations: Configurations) -> Configurations:
        """Drop configurations dominated by another of the same state, which owes no more and has used no more."""
        owed = self.owed
        front = Antichains(owed)
        order = sorted(configurations, key=lambda c: (c[0] ^ owed).bit_count())
        kept = [c for c in order if front.adds(*c)]
        if len(kept) > self.width:
            self.truncated = True
        return {c: configurations[c] for c in kept[: self.width]}

    def _witness(self, chain: Linearized) -> tuple[int, ...]:
        """The operations in an order: the chain, each read at the first state that it is legal in, and overwrites
        that were never seen directly before the first overwrite after their call."""
        writes: dict[int, list[int]] = {}  # event -> operations that took effect at it, the last one first
        while chain is not None:
            chain, i, at = chain
            writes.setdefault(at, []).append(i)
        visible = {i for taken in writes.values() for i in taken}
        order: list[int] = []
        placed: set[int] = set()  # membership only
        states = self.states
        state = states.restart()
        waiting: list[int] = []  # called, and not yet placed: reads, and overwrites that nobody saw

        def put(ready: Sequence[int]) -> None:
            for i in ready:
                if i not in placed and (i not in self.follows or self.follows[i] in placed):
                    placed.add(i)
                    order.append(i)
            waiting[:] = [i for i in waiting if i not in placed]

        for at, (_, what, i) in enumerate(self.timeline):
            for write in (None, *reversed(writes.get(at, ()))):
                if write is not None:
                    if self.overwrites[write]:
                        put(self._hidden_by(states.states[state], waiting))
                    put([write])
                    state = states.after(state, states.effect[write])
                put([r for r in waiting if self.pure[r] and states.after(state, states.effect[r]) >= 0])
            if what == CALL and i not in visible and self.operations[i].known:
                waiting.append(i)
        return tuple(order)

    def _hidden_by(self, state: object, waiting: Sequence[int]) -> list[int]:
        def hides(op: HistoryOperation) -> bool:
            return op.kind in self.model.additions and self.model.absorbs(state, op)

        return [i for i in waiting if self.overwrites[i] or hides(self.operations[i])]
