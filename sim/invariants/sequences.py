"""The order in which replicas apply commands, and how far in it each of them is.

Commands that touch a common key interfere, and must be applied in one order everywhere; others commute (Lamport,
"Generalized Consensus and Paxos", 2005). So there is one order for each key. A command that touches everything ends an
*epoch*: it comes after all commands before it, on whatever key, and before all later ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

__all__ = ["Applied", "CommonSequence", "Disagreement", "LooseSequence", "Position", "Trail"]


class Applied:
    """A command, its result, and the replica that was the first to apply it.

    ``known``: whether another replica has applied it too or taken over its effect, or its client was told.
    """

    __slots__ = ("command", "known", "node", "result")

    def __init__(self, command: Any, result: Any, node: str) -> None:
        self.command = command
        self.result = result
        self.node = node
        self.known = False


class Disagreement(Exception):
    """Two replicas disagree: the name of the invariant, the replica that was first, and the facts."""

    def __init__(self, invariant: str, other: str, *facts: str) -> None:
        super().__init__(invariant, other, *facts)
        self.invariant = invariant
        self.other = other
        self.facts = facts


class Position:
    """How far an application is.

    Attributes: ``epoch``, the number of commands applied that touch everything; ``counts``, key -> how many that touch
    it were applied since; ``total``, how many in all.
    """

    __slots__ = ("counts", "epoch", "total")

    def __init__(self, epoch: int = 0, counts: Mapping[str, int] | None = None, total: int = 0) -> None:
        self.epoch = epoch
        self.counts: dict[str, int] = dict(counts or {})
        self.total = total

    def copy(self) -> Position:
        """A position that moves on its own."""
        return Position(self.epoch, self.counts, self.total)

    @property
    def key(self) -> Any:
        """Equal for equal positions."""
        return self.epoch, frozenset(self.counts.items())


class Trail:
    """What an application has applied, for replicas that may take it back: the last write, and the trail before it."""

    __slots__ = ("before", "name", "total")

    def __init__(self, name: Any = None, before: Trail | None = None) -> None:
        self.name = name
        self.before = before
        self.total: int = 0 if before is None else before.total + 1

    def copy(self) -> Trail:
        """It never changes."""
        return self

    @property
    def key(self) -> Any:
        """The names of all writes, the latest first."""
        names, here = [], self
        while here.before is not None:
            names.append(here.name)
            here = here.before
        return tuple(names)


ONE_ORDER = "replicas apply the same commands in the same order"
ONCE = "each command takes effect once"


class CommonSequence:
    """The order of a group of replicas: that of the replica that applies a command first.

    Attributes: ``first``, (session, sequence) -> how that command was applied first; ``total``, how many were.
    """

    final = True

    def __init__(self) -> None:
        self.first: dict[tuple[int, int], Applied] = {}
        self.total = 0
        self._epochs: list[dict[str, list[Applied]]] = [{}]
        self._ends: list[tuple[Applied, dict[str, int]]] = []  # of each past epoch: what ended it, and when

    def start(self) -> Any:
        """The position of an application in its first state."""
        return Position()

    def apply(self, position: Any, command: Any, result: Any, keys: Collection[str] | None, node: str) -> Any:
        """A replica at a position applies a command: its next position. Raises `Disagreement`."""
        if keys is None:
            self._end_epoch(position, Applied(command, result, node))
            return position
        orders, counts = self._epochs[position.epoch], position.counts
        if len(keys) == 1:
            (key,) = keys
            at, order = counts.get(key, 0), orders.get(key)
            if order is not None and at < len(order):
                known = order[at]
                if known.command is not command and known.command != command:
                    raise _disagreement(known, command, f"write number {at + 1} of {key}")
                if known.node != node:
                    known.known = True
            else:
                self._append(position, [key], Applied(command, result, node))
            counts[key] = at + 1
        else:
            self._apply_to_several(position, sorted(keys), Applied(command, result, node))
        position.total += 1
        return position

    def _apply_to_several(self, position: Position, keys: list[str], applied: Applied) -> None:
        orders, counts, command = self._epochs[position.epoch], position.counts, applied.command
        known = {key: orders[key][counts.get(key, 0)] for key in keys if self._has_next(position, key)}
        for key, other in known.items():
            if other.command != command:
                raise _disagreement(other, command, f"write number {counts.get(key, 0) + 1} of {key}")
            other.known = other.known or other.node != applied.node
        if not known:
            self._append(position, keys, applied)
        elif len(known) < len(keys):
            other = next(iter(known.values()))
            raise _disagreement(other, command, "this write, before all that touch its other keys")
        for key in keys:
            counts[key] = counts.get(key, 0) + 1

    def _has_next(self, position: Position, key: str) -> bool:
        return position.counts.get(key, 0) < len(self._epochs[position.epoch].get(key, ()))

    def _append(self, position: Position, keys: Iterable[str], applied: Applied) -> None:
        """A replica is the first to apply a command."""
        if position.epoch < len(self._ends):
            raise _disagreement(self._ends[position.epoch][0], applied.command, "the next command")
        self._is_new(applied)
        for key in keys:
            self._epochs[position.epoch].setdefault(key, []).append(applied)

    def _end_epoch(self, position: Position, applied: Applied) -> None:
        epoch = position.epoch
        if epoch == len(self._ends):
            for key, order in self._epochs[epoch].items():
                if len(order) != position.counts.get(key, 0):
                    raise _disagreement(
                        order[position.counts.get(key, 0)], applied.command, "the next command"
                    )
            self._is_new(applied)
            self._ends.append((applied, dict(position.counts)))
            self._epochs.append({})
        known, counts = self._ends[epoch]
        if known.command != applied.command or counts != position.counts:
            raise _disagreement(known, applied.command, f"the end of epoch {epoch + 1}")
        position.epoch, position.counts = epoch + 1, {}
        position.total += 1

    def take_over(self, position: Any) -> bool:
        """A replica takes over the state at a position, from a disk or from another one: what is in it lasts.

        False: a crash has taken some of it back before, so that the position says nothing any more.
        """
        orders = self._epochs[position.epoch]
        if any(len(orders.get(key, ())) < count for key, count in position.counts.items()):
            return False
        for key, count in position.counts.items():
            for applied in orders[key][:count]:
                applied.known = True
        return True

    def take_back(self, node: str) -> None:
        """A replica crashes before its disk has all: what it alone has applied, and no client knows, need not last."""
        gone: dict[int, Applied] = {}  # by id: one command may touch several keys
        for order in self._epochs[-1].values():
            while order and order[-1].node == node and not order[-1].known:
                applied = order.pop()
                gone[id(applied)] = applied
        self.total -= len(gone)
        for applied in gone.values():
            self.first.pop((applied.command.session, applied.command.sequence), None)

    def _is_new(self, applied: Applied) -> None:
        command = applied.command
        self.total += 1
        if command.session < 0:
            return
        name = (command.session, command.sequence)
        before = self.first.setdefault(name, applied)
        if before is not applied:
            raise Disagreement(
                ONCE,
                before.node,
                f"{before.node} has applied {before.command!r}",
                f"{applied.node} applies it after other writes: it stands in the order twice",
            )


class LooseSequence(CommonSequence):
    """What replicas applied, where they may take it back, or need not have one order: nothing contradicts anything."""

    final = False

    def start(self) -> Any:
        return Trail()

    def take_over(self, position: Any) -> bool:
        return True

    def apply(self, position: Any, command: Any, result: Any, keys: Collection[str] | None, node: str) -> Any:
        name = (command.session, command.sequence)
        self.first.setdefault(name, Applied(command, result, node))
        return Trail(name, position)


def _disagreement(known: Applied, command: Any, where: str) -> Disagreement:
    return Disagreement(
        ONE_ORDER, known.node, f"{known.node} has applied {known.command!r} as {where}", f"now {command!r}"
    )
