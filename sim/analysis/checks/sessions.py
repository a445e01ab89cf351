"""Session guarantees (Terry et al., PDIS 1994), checked from the operations that clients observed.

Each session s is granted an order of all writes of its own, and each of its reads a set of writes that it can see; a
read returns the last write to its key, in that order, that it can see. Writes of one session to one key are in the
order in which they were issued. Then

* read your writes: a read sees all writes of its own session before it;
* monotonic reads: a read sees all that earlier reads of its session saw;
* monotonic writes: the order of writes contains the order of every session, and who sees a write sees, then and
  later, the writes that came before it in its session;
* writes follow reads: the same for the writes that a session had read before it wrote.

The least sets of visible writes suffice, so what remains is a graph of writes: an edge from all that a read must see
to the write that it returned. A session has an order iff its graph has no cycle. One pass finds the edges;
virtual nodes that stand for "all that was read up to here" keep their number linear.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from sim.analysis.checks.relations import INITIAL, Pattern, Relations

__all__ = ["SESSION_GUARANTEES", "session_guarantee"]

SESSION_GUARANTEES = ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")
"""The names of the four guarantees."""

Edge = tuple[int, int, int]  # (what the read must see, the write that it returned, the read)


def session_guarantee(
    relations: Relations, name: str, versions: Mapping[int, Sequence[int]] | None = None
) -> Pattern | None:
    """Judge one guarantee. ``versions``: the known order of the writes (items) of some keys, the oldest first."""
    for read, source in relations.source.items():
        if source >= 0 and relations.trace.precedes(read, source):
            reason = f"{relations.trace.tell(read)} saw what its own session wrote only later."
            return Pattern("CyclicCO", relations.rows([read, source]), reason)
    graph = _Graph(relations, name, versions or {})
    if graph.circle:
        told = "; ".join(relations.trace.tell(w) for w in graph.circle)
        return Pattern(
            name, relations.rows(graph.circle), f"these writes come before each other in a circle: {told}."
        )
    for s in relations.seers:
        if s < relations.trace.known:
            found = _Session(graph, s).violation()
            if found is not None:
                return found
    return None


class _Graph:
    """The order of writes that all sessions share. Nodes are items (writes) and, above them, virtual ones."""

    def __init__(self, relations: Relations, name: str, versions: Mapping[int, Sequence[int]]) -> None:
        self.relations, self.name = relations, name
        self.virtual = len(relations.trace.rows)  # the next free number
        self.first_virtual = self.virtual
        self.after: dict[int, list[int]] = {i: [] for i in relations.items if relations.write[i]}
        self.reads_of: dict[
            int, dict[int, list[tuple[int, int, int]]]
        ] = {}  # key -> session -> (place, write, node)
        for s in range(len(relations.sessions)):
            self._chain(s)
            if name == "writes-follow-reads":
                self._follow(s)
        for known in versions.values():
            order = [w for w in known if w in self.after]
            for a, b in itertools.pairwise(order):
                self.edge(a, b)
        self.circle: list[int] = []
        self.position = self._sort()

    def edge(self, a: int, b: int) -> None:
        self.after[a].append(b)

    def node(self) -> int:
        """A new virtual node."""
        self.virtual += 1
        self.after[self.virtual - 1] = []
        return self.virtual - 1

    def _chain(self, s: int) -> None:
        """The writes of a session in its order: to one key, or (monotonic writes) all of them."""
        relations = self.relations
        last: dict[int, int] = {}
        for i in relations.line(s):
            if relations.write[i]:
                key = -1 if self.name == "monotonic-writes" else relations.key[i]
                if key in last and relations.session[i] == s:
                    self.edge(last[key], i)
                last[key] = i

    def _follow(self, s: int) -> None:
        """Writes follow reads: everything read before a write comes before it, by way of virtual nodes."""
        relations = self.relations
        everything = -1
        for i in relations.line(s):
            if relations.write[i]:
                if everything >= 0 and relations.session[i] == s:
                    self.edge(everything, i)
                continue
            source = relations.source[i]
            if source < 0:
                continue
            everything = self._next(everything, source)
            if relations.session[i] == s:
                seen = self.reads_of.setdefault(relations.key[i], {}).setdefault(s, [])
                if not seen or seen[-1][1] != source:
                    seen.append((relations.place[i], source, self._next(seen[-1][2] if seen else -1, source)))

    def _next(self, before: int, write: int) -> int:
        node = self.node()
        self.edge(write, node)
        if before >= 0:
            self.edge(before, node)
        return node

    def _sort(self) -> dict[int, int]:
        """A position for every node that contains the order; by time of call where there is a choice."""
        waiting = dict.fromkeys(self.after, 0)
        for found in self.after.values():
            for j in found:
                waiting[j] += 1
        rows, call = self.relations.trace.rows, self.relations.trace.history.called
        timed = self.relations.trace.history.timed

        def entry(i: int) -> tuple[float, int]:
            real = i < self.first_virtual
            return (float(call[rows[i]]) if real and timed else float(rows[i]) if real else -1.0, i)

        ready = [entry(i) for i, count in waiting.items() if not count]
        heapify(ready)
        position: dict[int, int] = {}
        while ready:
            _, i = heappop(ready)
            position[i] = len(position)
            for j in self.after[i]:
                waiting[j] -= 1
                if not waiting[j]:
                    heappush(ready, entry(j))
        if len(position) < len(self.after):
            left = {
                i: [j for j in found if j not in position]
                for i, found in self.after.items()
                if i not in position
            }
            self.circle = self.real(next(c for c in _components(left) if len(c) > 1))
        return position

    def real(self, nodes: Iterable[int]) -> list[int]:
        """Those of the nodes that are writes."""
        return sorted(i for i in nodes if i < self.first_virtual)


class _Session:
    """The edges of one session, and whether they fit the shared order."""

    def __init__(self, graph: _Graph, s: int) -> None:
        self.graph, self.relations, self.s = graph, graph.relations, s
        self.extra: dict[int, list[int]] = {}  # successors of this session's own virtual nodes
        self.virtual = graph.virtual

    def violation(self) -> Pattern | None:
        """The first contradiction, or None."""
        edges: list[Edge] = []
        find = {
            "read-your-writes": self._read_your_writes,
            "monotonic-reads": self._monotonic_reads,
            "monotonic-writes": self._monotonic_writes,
            "writes-follow-reads": self._writes_follow_reads,
        }[self.graph.name]
        for must, returned, read in find():
            if returned == INITIAL:
                return self._pattern([must], read)
            edges.append((must, returned, read))
        position = self.graph.position
        backward = [e for e in edges if position.get(e[0], len(position)) > position[e[1]]]
        if not backward:
            return None
        return self._cycle(edges, backward)

    # What each read must see

    def _read_your_writes(self) -> Iterator[Edge]:
        relations = self.relations
        last: dict[int, int] = {}
        for i in relations.sessions[self.s]:
            key = relations.key[i]
            if relations.write[i]:
                last[key] = i
            elif key in last and last[key] != relations.source[i]:
                yield last[key], relations.source[i], i

    def _monotonic_reads(self) -> Iterator[Edge]:
        relations = self.relations
        last: dict[int, int] = {}
        for i in relations.sessions[self.s]:
            if relations.write[i]:
                continue
            key, source = relations.key[i], relations.source[i]
            if key in last and last[key] != source:
                yield last[key], source, i
            if source >= 0:
                last[key] = source

    def _monotonic_writes(self) -> Iterator[Edge]:
        relations = self.relations
        seen: dict[int, int] = {}  # session -> how many of its items must be visible
        sticky: dict[tuple[int, int], int] = {}  # the same, for one key
        for i in relations.sessions[self.s]:
            if relations.write[i]:
                continue
            key, source = relations.key[i], relations.source[i]
            if source >= 0:
                for s, bound in self._prefixes(source):
                    seen[s] = max(seen.get(s, 0), bound)
                    places, _ = relations.writers[key].get(s, ([], []))
                    if places and places[0] < bound:
                        name = (relations.session[source], key)
                        sticky[name] = max(sticky.get(name, 0), relations.place[source] + 1)
            for s, (places, items) in relations.writers.get(key, {}).items():
                at = bisect_left(places, max(seen.get(s, 0), sticky.get((s, key), 0)))
                if at and items[at - 1] != source:
                    yield items[at - 1], source, i

    def _prefixes(self, write: int) -> list[tuple[int, int]]:
        """(session, number of items) that came before a write in session order."""
        relations = self.relations
        s = relations.session[write]
        follows = relations.trace.follows[s]
        found = [(s, relations.place[write])]
        if follows >= 0:
            found.append((relations.session[follows], relations.place[follows] + 1))
        return found

    def _writes_follow_reads(self) -> Iterator[Edge]:
        relations = self.relations
        seen: dict[int, int] = {}  # session -> up to where its reads must be visible
        sticky: dict[int, list[tuple[int, int]]] = {}  # key -> (write, node)
        for i in relations.sessions[self.s]:
            if relations.write[i]:
                continue
            key, source = relations.key[i], relations.source[i]
            if source >= 0:
                self._look_back(source, seen)
            for s, reads in self.graph.reads_of.get(key, {}).items():
                at = bisect_left(reads, (seen.get(s, 0), -1, -1)) - 1
                while at >= 0 and reads[at][1] == source:
                    at -= 1
                if at >= 0:
                    yield reads[at][2], source, i
            mine = sticky.setdefault(key, [])
            at = len(mine) - 1 - (bool(mine) and mine[-1][0] == source)
            if at >= 0:
                yield mine[at][1], source, i
            if source >= 0 and self._answers(source) and not (mine and mine[-1][0] == source):
                mine.append((source, self._own_node(source, mine[-1][1] if mine else -1)))

    def _look_back(self, write: int, seen: dict[int, int]) -> None:
        """A session that sees a write sees what the session of that write had read before it, and so on."""
        relations = self.relations
        work = [write]
        while work:
            for s, bound in self._prefixes(work.pop()):
                known = seen.get(s, 0)
                if bound > known:
                    seen[s] = bound
                    fresh = relations.sessions[s][known:bound]
                    work += [relations.source[i] for i in fresh if relations.source.get(i, INITIAL) >= 0]

    def _answers(self, write: int) -> bool:
        """Whether its session had read the same key before it (something that was written)."""
        for s, bound in self._prefixes(write):
            reads = self.graph.reads_of.get(self.relations.key[write], {}).get(s, [])
            if reads and reads[0][0] < bound:
                return True
        return False

    def _own_node(self, write: int, before: int) -> int:
        node = self.virtual
        self.virtual += 1
        self.extra.setdefault(write, []).append(node)
        self.extra[node] = []
        if before >= 0:
            self.extra[before].append(node)
        return node

    # Contradictions

    def _cycle(self, edges: list[Edge], backward: list[Edge]) -> Pattern | None:
        """Whether the edges close a circle through two writes or more; only nodes between backward ends can."""
        graph, position = self.graph, self.graph.position
        far = len(position)
        low = min(position[b] for _, b, _ in backward)
        high = max(position.get(a, far) for a, _, _ in backward)
        ours = [n for n in self.extra if n not in position]
        nodes = [n for n, at in position.items() if low <= at <= high] + ours
        inside = set(nodes)
        after = {
            n: [j for j in (*graph.after.get(n, ()), *self.extra.get(n, ())) if j in inside] for n in nodes
        }
        for a, b, _ in edges:
            if a in inside and b in inside:
                after[a].append(b)
        for component in _components(after):
            writes = graph.real(component)
            if len(writes) > 1:
                members = set(component)
                read = next(r for a, b, r in backward if a in members and b in members)
                involved = [r for a, b, r in edges if a in members and b in members]
                return self._pattern(writes, read, involved)
        return None

    def _pattern(self, writes: list[int], read: int, reads: Iterable[int] = ()) -> Pattern:
        relations, name = self.relations, self.graph.name
        tell = relations.trace.tell
        writes = [w if w < self.graph.first_virtual else self._some_write(w) for w in writes]
        other = [w for w in writes if w != relations.source[read]]
        why = {
            "read-your-writes": "which its own session had written before",
            "monotonic-reads": "which its session had read before",
            "monotonic-writes": "which came before a write that its session had seen, in the session of that write",
            "writes-follow-reads": "which had been read before a write that its session had seen was made",
        }[name]
        told = " and ".join(tell(w) for w in other[:2]) + (" …" if len(other) > 2 else "")
        rows = relations.rows([*writes, *self._seen_before(read), *list(reads)[:4], read])
        return Pattern(name, rows, f"{tell(read)} did not see {told}, {why}.")

    def _some_write(self, node: int) -> int:
        """A write that a virtual node stands for."""
        for reads in self.graph.reads_of.values():
            for found in reads.values():
                for _, write, own in found:
                    if own == node:
                        return write
        return next(w for w, nodes in self.extra.items() if node in nodes and w < self.graph.first_virtual)

    def _seen_before(self, read: int) -> list[int]:
        """The session's last earlier read and its source, which show how the session saw a newer write."""
        relations = self.relations
        earlier = relations.sessions[self.s][: relations.place[read]]
        reads = [i for i in earlier if not relations.write[i] and relations.source[i] >= 0]
        if self.graph.name == "read-your-writes" or not reads:
            return []
        return [relations.source[reads[-1]], reads[-1]]


def _components(after: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Strongly connected components (Tarjan 1972, without recursion)."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for root in after:
        if root in number:
            continue
        work: list[tuple[int, int]] = [(root, 0)]
        while work:
            i, at = work.pop()
            if at == 0:
                number[i] = low[i] = len(number)
                stack.append(i)
                on_stack.add(i)
            recurse = False
            for k in range(at, len(after[i])):
                j = after[i][k]
                if j not in number:
                    work += [(i, k + 1), (j, 0)]
                    recurse = True
                    break
                if j in on_stack:
                    low[i] = min(low[i], number[j])
            if recurse:
                continue
            if low[i] == number[i]:
                component: list[int] = []
                while True:
                    j = stack.pop()
                    on_stack.discard(j)
                    component.append(j)
                    if j == i:
                        break
                found.append(component)
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[i])
    return found
