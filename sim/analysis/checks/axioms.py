"""Slow and simple checks of the weak models, independent of the checkers: they try every relation that the axioms
leave open. For histories of a few operations; the tests compare both.

Causal models: Bouajjani, Enea, Guerraoui & Hamza, POPL 2017, section 3. Session guarantees: docs/consistency.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import combinations, product

from sim.analysis.checks.oracle import linear
from sim.analysis.checks.relations import HistoryItems

__all__ = ["weak"]

Pair = tuple[int, int]


def weak(trace: HistoryItems, initial: int, model: str) -> bool:
    """Whether the reads and writes of a trace satisfy a model: CC, CCv, CM, pram, regular, or a session guarantee.

    ``initial``: the code of every key's initial value. Every subset of the writes of unknown outcome may have happened.
    """
    maybe = list(range(trace.known, len(trace.sessions)))
    for count in range(len(maybe) + 1):
        for happened in combinations(maybe, count):
            items = _Items(trace, initial, happened)
            if model == "regular":
                items.order = {
                    (a, b) for a, b in items.order if items.row[a] == items.row[b]
                }  # it knows no sessions
            if next(_sources(items), None) is not None and _MODELS[model](items):
                return True
    return False


class _Items:
    """Items numbered from 0, their session order as a set of pairs, and what is legal."""

    def __init__(self, trace: HistoryItems, initial: int, happened: Sequence[int]) -> None:
        old = [i for s in (*range(trace.known), *happened) for i in trace.sessions[s]]
        self.n = len(old)
        self.initial = initial
        self.write = [trace.write[i] for i in old]
        self.key = [trace.key[i] for i in old]
        self.value = [trace.value[i] for i in old]
        self.session = [trace.session[i] for i in old]
        self.known = trace.known
        self.row = [trace.rows[i] for i in old]
        self.called = [trace.history.called[trace.rows[i]] for i in old]
        self.returned = [trace.history.returned[trace.rows[i]] for i in old]
        self.order: set[Pair] = set()
        for (a, i), (b, j) in product(enumerate(old), repeat=2):
            follows = trace.follows[trace.session[j]]
            if trace.session[i] == trace.session[j]:
                if trace.place[i] < trace.place[j]:
                    self.order.add((a, b))
            elif (
                follows >= 0
                and trace.session[i] == trace.session[follows]
                and trace.place[i] <= trace.place[follows]
            ):
                self.order.add((a, b))
        self.writes = [i for i in range(self.n) if self.write[i]]
        self.reads = [i for i in range(self.n) if not self.write[i]]
        self.seers = sorted({self.session[r] for r in self.reads if self.session[r] < trace.known})

    def legal(self, order: Sequence[int], checked: Iterable[int]) -> bool:
        """Whether the checked reads return the last value written before them in this order."""
        state: dict[int, int] = {}
        wanted = set(checked)
        for i in order:
            if self.write[i]:
                state[self.key[i]] = self.value[i]
            elif i in wanted and state.get(self.key[i], self.initial) != self.value[i]:
                return False
        return True


@cache
def _posets(n: int) -> tuple[frozenset[Pair], ...]:
    """All strict partial orders on n elements (4231 of them for n = 5)."""
    if n == 0:
        return (frozenset(),)
    found: set[frozenset[Pair]] = set()
    new = n - 1
    for smaller in _posets(new):
        for below in product((False, True), repeat=new):
            for above in product((False, True), repeat=new):
                pairs = set(smaller)
                pairs |= {(i, new) for i in range(new) if below[i]} | {
                    (new, i) for i in range(new) if above[i]
                }
                if all((a, d) in pairs for a, b in pairs for c, d in pairs if b == c):
                    found.add(frozenset(pairs))
    return tuple(sorted(found, key=sorted))


def _causal_orders(items: _Items) -> Iterator[frozenset[Pair]]:
    """All causal orders; of more than five items the least ones only (a larger one never explains more)."""
    if items.n <= 5:
        yield from (order for order in _posets(items.n) if items.order <= order)
        return
    for sources in _sources(items):
        pairs = items.order | {(w, r) for r, w in sources.items() if w >= 0}
        while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
            pairs |= more
        if not any(a == b for a, b in pairs):
            yield frozenset(pairs)


def _sources(items: _Items) -> Iterator[dict[int, int]]:
    """Every way in which the reads may have seen the writes (-1: the initial value)."""
    sources = [
        [
            w
            for w in items.writes
            if items.key[w] == items.key[r] and items.value[w] == items.value[r] and (r, w) not in items.order
        ]
        + ([-1] if items.value[r] == items.initial else [])
        for r in items.reads
    ]
    for chosen in product(*sources):
        yield dict(zip(items.reads, chosen, strict=True))


def _past(order: Iterable[Pair], item: int) -> list[int]:
    return [a for a, b in order if b == item] + [item]


def _is_cc(items: _Items) -> bool:
    return any(
        all(any(items.legal(o, [r]) for o in linear(_past(co, r), co)) for r in items.reads)
        for co in _causal_orders(items)
    )


def _is_cm(items: _Items) -> bool:
    def explained(co: frozenset[Pair], read: int) -> bool:
        checked = [a for a in items.reads if a == read or (a, read) in items.order]
        return any(items.legal(order, checked) for order in linear(_past(co, read), co))

    return any(all(explained(co, r) for r in items.reads) for co in _causal_orders(items))


def _is_ccv(items: _Items) -> bool:
    for co in _causal_orders(items):
        for arbitration in linear(range(items.n), co):
            pasts = ((r, set(_past(co, r))) for r in items.reads)
            if all(items.legal([i for i in arbitration if i in past], [r]) for r, past in pasts):
                return True
    return False


def _is_pram(items: _Items) -> bool:
    def explained(read: int) -> bool:
        own = [r for r in items.reads if r == read or (r, read) in items.order]
        return any(items.legal(order, own) for order in linear([*items.writes, *own], items.order))

    return all(explained(r) for r in items.reads)


def _is_regular(items: _Items) -> bool:
    """One order of the writes, contained in real time, from which no read saw what was overwritten before its call."""
    real = {(a, b) for a, b in product(items.writes, repeat=2) if items.returned[a] < items.called[b]}

    def seen(order: Sequence[int], read: int) -> bool:
        mine = [w for w in order if items.key[w] == items.key[read]]
        first = max(
            (at + 1 for at, w in enumerate(mine) if items.returned[w] < items.called[read]), default=0
        )
        for at in range(max(first, 0), len(mine) + 1):
            value = items.value[mine[at - 1]] if at else items.initial
            early = at == 0 or (
                items.called[mine[at - 1]] <= items.returned[read] and (read, mine[at - 1]) not in items.order
            )
            if value == items.value[read] and early:
                return True
        return False

    reads = [r for r in items.reads if items.session[r] < items.known]
    return any(all(seen(order, r) for r in reads) for order in linear(items.writes, real))


# Session guarantees (docs/consistency.md): for each session an order of all writes, and what its reads could see


def _guarantee(name: str) -> Callable[[_Items], bool]:
    def holds(items: _Items) -> bool:
        same = {
            (a, b)
            for a, b in items.order
            if items.write[a] and items.write[b] and items.key[a] == items.key[b]
        }
        return any(
            all(_explained(items, s, name, same | links, links) for s in items.seers)
            for links in _links(items, name)
        )

    return holds


def _links(items: _Items, name: str) -> Iterator[set[Pair]]:
    """The pairs of writes whose order all sessions must see (for writes-follow-reads: for each way of reading)."""
    if name == "monotonic-writes":
        yield {(a, b) for a, b in items.order if items.write[a] and items.write[b]}
    elif name == "writes-follow-reads":
        for source in _sources(items):
            yield {(source[r], w) for r, w in items.order if source.get(r, -1) >= 0 and items.write[w]}
    else:
        yield set()


def _explained(items: _Items, s: int, name: str, base: set[Pair], links: set[Pair]) -> bool:
    own = [i for i in range(items.n) if items.session[i] == s]
    reads = [i for i in own if not items.write[i]]
    subsets = [set(c) for k in range(len(items.writes) + 1) for c in combinations(items.writes, k)]

    def possible(read: int, visible: set[int], order: Sequence[int], earlier: Sequence[set[int]]) -> bool:
        if any((read, w) in items.order for w in visible):  # its own session writes it later
            return False
        mine = [w for w in order if w in visible and items.key[w] == items.key[read]]
        if (items.value[mine[-1]] if mine else items.initial) != items.value[read]:
            return False
        if name == "read-your-writes":
            return all(w in visible for w in own if items.write[w] and (w, read) in items.order)
        if name == "monotonic-reads":
            return all(seen <= visible for seen in earlier)
        for seen in (*earlier, visible):
            for a, b in links:
                if b in seen and (a not in visible or (items.key[a] == items.key[b] and b not in visible)):
                    return False
        return True

    def search(at: int, order: Sequence[int], earlier: list[set[int]]) -> bool:
        if at == len(reads):
            return True
        return any(
            possible(reads[at], visible, order, earlier) and search(at + 1, order, [*earlier, visible])
            for visible in subsets
        )

    return any(search(0, order, []) for order in linear(items.writes, base))


_MODELS: dict[str, Callable[[_Items], bool]] = {
    "CC": _is_cc,
    "CCv": _is_ccv,
    "CM": _is_cm,
    "pram": _is_pram,
    "regular": _is_regular,
    **{
        name: _guarantee(name)
        for name in ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")
    },
}
