"""Egalitarian Paxos: interference of commands, and the execution order of committed ones (section 4.3.2)."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sim.protocols.application import Application
from sim.protocols.command import Command
from sim.protocols.consensus.epaxos.messages import Instance

__all__ = ["ByKey", "Conflicts", "Interference", "execution_order"]


class ByKey:
    """The index of an application's commands: by each key that they touch, or by None, which stands for all keys.

    Two commands interfere if they touch a common key, unless both only read.
    """

    def __init__(self, application: Application) -> None:
        self._reads_of = application.reads
        self._touched = application.touched

    def is_read(self, command: Command) -> bool:
        return command.kind in self._reads_of

    def places(self, command: Command) -> tuple[str | None, ...]:
        """The keys under which a command is indexed; None stands for all keys."""
        touched = self._touched(command)
        return (None,) if touched is None else touched


class Interference(ByKey):
    """The commands at each key that one replica knows.

    `seen_by` returns the dependencies of a new command. Of the executed commands, the last write suffices, and for a
    write also the reads since then: earlier commands were executed before these, so these depend on them.
    """

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._open: dict[str | None, dict[Instance, tuple[bool, int]]] = {}  # not executed: reads?, seq
        self._write: dict[str | None, tuple[Instance, int]] = {}  # the last executed write, its seq
        self._reads: dict[str | None, dict[Instance, int]] = {}  # executed reads since then, their seq

    def put(self, instance: Instance, command: Command, seq: int) -> None:
        """Add a command, or change its seq."""
        if command.session >= 0:
            for place in self.places(command):
                self._open.setdefault(place, {})[instance] = (self.is_read(command), seq)

    def drop(self, instance: Instance, command: Command) -> None:
        """Remove a command, because its instance has another one."""
        if command.session >= 0:
            for place in self.places(command):
                self._open.get(place, {}).pop(instance, None)

    def executed(self, instance: Instance, command: Command, seq: int) -> None:
        """Note that a command has been executed."""
        if command.session < 0:
            return
        self.drop(instance, command)
        places = self.places(command)
        if self.is_read(command):
            for place in places:
                self._reads.setdefault(place, {})[instance] = seq
            return
        if None in places:  # it depends on all commands that were executed before it
            self._write.clear()
            self._reads.clear()
        for place in places:
            self._write[place] = (instance, seq)
            self._reads.pop(place, None)

    def seen_by(self, command: Command, itself: Instance) -> tuple[int, list[Instance]]:
        """The seq after those of all interfering commands, and the instances of these commands."""
        if command.session < 0:
            return 1, []
        reads = self.is_read(command)
        places = self.places(command)
        if None in places:
            places = tuple({**self._open, **self._write, **self._reads})
        found: dict[Instance, int] = {}
        for place in dict.fromkeys((*places, None)):
            for instance, (is_read, seq) in self._open.get(place, {}).items():
                if instance != itself and not (reads and is_read):
                    found[instance] = seq
            last = self._write.get(place)
            if last is not None:
                found[last[0]] = last[1]
            if not reads:
                found.update(self._reads.get(place, {}))
        return 1 + max(found.values(), default=0), sorted(found)


class Conflicts(ByKey):
    """The commands at each key that a replica of EPaxos* knows; `of` finds those that conflict with a command."""

    def __init__(self, application: Application, rows: int) -> None:
        super().__init__(application)
        self._rows = rows
        self._known: dict[Instance, Command] = {}
        # (reads?, key; None: those that touch everything; ...: all) -> row -> numbers
        self._tables: dict[tuple[bool, Any], list[list[int]]] = {}

    def _noted(self, command: Command) -> list[list[list[int]]]:
        """The tables in which a command is indexed."""
        reads = self.is_read(command)
        return [
            self._tables.setdefault((reads, place), [[] for _ in range(self._rows)])
            for place in (*self.places(command), ...)
        ]

    def put(self, instance: Instance, command: Command) -> None:
        """Note that an instance may have this command; its only alternative is a no-op."""
        if instance not in self._known and command.session >= 0:
            self._known[instance] = command
            for table in self._noted(command):
                insort(table[instance[0]], instance[1])

    def drop(self, instance: Instance) -> None:
        """Remove an instance whose command is finally a no-op."""
        command = self._known.pop(instance, None)
        if command is not None:
            for table in self._noted(command):
                table[instance[0]].remove(instance[1])

    def of(self, command: Command, prefix: Sequence[int], itself: Instance) -> tuple[Instance, ...]:
        """The known instances that conflict with a command, those up to ``prefix`` of each row left out."""
        if command.session < 0:
            return ()
        places: tuple[Any, ...] = self.places(command)
        places = (...,) if None in places else (*places, None)
        kinds = (False,) if self.is_read(command) else (False, True)
        found = {
            (row, number): None
            for place in places
            for reads in kinds
            for row, numbers in enumerate(self._tables.get((reads, place), ()))
            for number in numbers[bisect_right(numbers, prefix[row]) :]
            if (row, number) != itself
        }
        return tuple(sorted(found))


def execution_order(
    start: Instance,
    deps: Callable[[Instance], Iterable[Instance] | None],
    seq: Callable[[Instance], int],
) -> list[Instance] | Instance:
    """The order in which to execute a committed command and all commands that must precede it.

    Strongly connected components in reverse topological order; inside a component by seq, then by instance.

    Parameters
    ----------
    deps: the unexecuted dependencies of an instance; None: the instance is not committed.
    seq: its seq.

    Returns the instances in order, or the instance that is not committed and blocks them.
    """
    graph = _closure(start, deps)
    if isinstance(graph, tuple):
        return graph
    order: list[Instance] = []
    for component in _components(start, graph):
        order.extend(sorted(component, key=lambda instance: (seq(instance), instance)))
    return order


def _closure(
    start: Instance, deps: Callable[[Instance], Iterable[Instance] | None]
) -> dict[Instance, list[Instance]] | Instance:
    """All reachable instances with their dependencies; or the first instance that is not committed."""
    graph: dict[Instance, list[Instance]] = {}
    todo = [start]
    while todo:
        instance = todo.pop()
        if instance in graph:
            continue
        found = deps(instance)
        if found is None:
            return instance
        graph[instance] = list(found)
        todo.extend(graph[instance])
    return graph


def _components(start: Instance, graph: Mapping[Instance, list[Instance]]) -> list[list[Instance]]:
    """Strongly connected components, dependencies first (Tarjan 1972, without recursion)."""
    index: dict[Instance, int] = {}
    low: dict[Instance, int] = {}
    stack: list[Instance] = []
    on_stack: dict[Instance, None] = {}
    components: list[list[Instance]] = []
    work: list[tuple[Instance, int]] = [(start, 0)]
    while work:
        node, position = work.pop()
        if position == 0:
            index[node] = low[node] = len(index)
            stack.append(node)
            on_stack[node] = None
        following = graph[node]
        while position < len(following):
            other = following[position]
            position += 1
            if other not in index:
                work.extend([(node, position), (other, 0)])
                break
            if other in on_stack:
                low[node] = min(low[node], index[other])
        else:
            if low[node] == index[node]:
                component = []
                while True:
                    member = stack.pop()
                    del on_stack[member]
                    component.append(member)
                    if member == node:
                        break
                components.append(component)
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return components
