"""Egalitarian Paxos: which commands interfere, and in which order committed ones are executed (section 4.3.2)."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence

from sim.protocols.consensus.epaxos.messages import Instance
from sim.protocols.kv import READS, Command

__all__ = ["Conflicts", "Interference", "execution_order"]


class Interference:
    """The commands on each key, as one replica knows them. Two commands interfere on the same key unless both read.

    `seen_by` is what a new command must depend on. Of the executed commands the last write is enough, and for a
    write the reads since: all earlier ones were executed before these, and so are among what these depend on.
    """

    def __init__(self) -> None:
        self._open: dict[str, dict[Instance, tuple[bool, int]]] = {}  # key -> not executed: reads?, seq
        self._write: dict[str, tuple[Instance, int]] = {}  # key -> the last executed write, its seq
        self._reads: dict[str, dict[Instance, int]] = {}  # key -> executed reads since then, their seq

    def put(self, instance: Instance, command: Command, seq: int) -> None:
        """A command is known now, or its seq has changed."""
        if command.session >= 0:
            self._open.setdefault(command.key, {})[instance] = (command.kind in READS, seq)

    def drop(self, instance: Instance, command: Command) -> None:
        """The instance has another command now."""
        self._open.get(command.key, {}).pop(instance, None)

    def executed(self, instance: Instance, command: Command, seq: int) -> None:
        """A command has been executed."""
        if command.session < 0:
            return
        self.drop(instance, command)
        if command.kind in READS:
            self._reads.setdefault(command.key, {})[instance] = seq
        else:
            self._write[command.key] = (instance, seq)
            self._reads.pop(command.key, None)

    def seen_by(self, command: Command, itself: Instance) -> tuple[int, list[Instance]]:
        """The seq that follows all commands which interfere, and these commands."""
        if command.session < 0:
            return 1, []
        reads = command.kind in READS
        found = {
            instance: seq
            for instance, (is_read, seq) in self._open.get(command.key, {}).items()
            if instance != itself and not (reads and is_read)
        }
        last = self._write.get(command.key)
        if last is not None:
            found[last[0]] = last[1]
        if not reads:
            found.update(self._reads.get(command.key, {}))
        return 1 + max(found.values(), default=0), sorted(found)


class Conflicts:
    """The commands on each key, as one replica of EPaxos* knows them: `of` finds those that conflict with a command.

    Two commands conflict on the same key unless both read; a scan conflicts with every write.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._known: dict[Instance, Command] = {}
        self._writes: dict[str | None, list[list[int]]] = {
            None: self._table()
        }  # key, None: any -> row -> numbers
        self._reads: dict[str | None, list[list[int]]] = {None: self._table()}  # None: scans

    def _table(self) -> list[list[int]]:
        return [[] for _ in range(self._rows)]

    def _places(self, command: Command) -> list[list[list[int]]]:
        """The tables in which a command is noted."""
        if command.kind == "scan":
            return [self._reads[None]]
        if command.kind in READS:
            return [self._reads.setdefault(command.key, self._table())]
        return [self._writes[None], self._writes.setdefault(command.key, self._table())]

    def put(self, instance: Instance, command: Command) -> None:
        """An instance may have this command; it never has another but a no-op."""
        if instance not in self._known and command.session >= 0:
            self._known[instance] = command
            for place in self._places(command):
                insort(place[instance[0]], instance[1])

    def drop(self, instance: Instance) -> None:
        """The instance is a no-op for good."""
        command = self._known.pop(instance, None)
        if command is not None:
            for place in self._places(command):
                place[instance[0]].remove(instance[1])

    def of(self, command: Command, prefix: Sequence[int], itself: Instance) -> tuple[Instance, ...]:
        """The known instances that conflict with a command, those up to ``prefix`` of each row left out."""
        if command.session < 0:
            return ()
        if command.kind == "scan":
            places = [self._writes[None]]
        elif command.kind in READS:
            places = [self._writes.get(command.key, [])]
        else:
            places = [self._writes.get(command.key, []), self._reads.get(command.key, []), self._reads[None]]
        found = [
            (row, number)
            for place in places
            for row, numbers in enumerate(place)
            for number in numbers[bisect_right(numbers, prefix[row]) :]
            if (row, number) != itself
        ]
        return tuple(sorted(found))


def execution_order(
    start: Instance,
    deps: Callable[[Instance], Iterable[Instance] | None],
    seq: Callable[[Instance], int],
) -> list[Instance] | Instance:
    """The order in which to execute a committed command and all that must go before it.

    Strongly connected components in reverse topological order; inside a component by seq, then by instance.

    Parameters
    ----------
    deps: what an instance depends on, executed ones left out; None: it is not committed.
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
    """All that can be reached, with its dependencies; or the first instance that is not committed."""
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
