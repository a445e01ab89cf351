"""Sequential consistency (Lamport 1979): one order of all operations that contains the order of every process.

Deciding it is NP-hard (Gibbons & Korach 1997), and it is not local: keys cannot be judged one by one. In turn:

1. a linearizable history is sequentially consistent;
2. with a known order of the writes to each key it is the absence of a cycle in session order, reading, that order,
   and from each read to the next version;
3. where it is clear which read saw which write, the causal models are necessary, and so is the order of writes that
   follows from reads (`saturated`): a cycle in it is a proof;
4. otherwise an interleaving is searched for: depth first, with a memory of (positions, states), reads taken as soon as
   they are legal, in the order that 3 left, and never over a version that someone still has to read.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.analysis.checks.causal import cc, ccv, cm
from sim.analysis.checks.relations import INITIAL, Clocks, Pattern, Relations, find_cycle

__all__ = ["ClockOrder", "necessary", "saturated", "with_versions"]


@dataclass(frozen=True, slots=True, eq=False)
class ClockOrder:
    """The constraints on every order of all items: for each item, how many items of each session come before it."""

    relations: Relations
    clocks: Clocks


def necessary(relations: Relations) -> Pattern | ClockOrder:
    """A bad pattern that rules sequential consistency out, or the order that any interleaving must have."""
    return cc(relations) or cm(relations) or ccv(relations) or saturated(relations)


def saturated(relations: Relations) -> Pattern | ClockOrder:
    """Session order and reading, closed under: what was overwritten was read before, and was written before.

    If a write w' to the key of a read r of w must come before r, it comes before w; if w must come before w', so
    does r. (Gibbons & Korach 1997; Biswas & Enea, OOPSLA 2019.)
    """
    extra: dict[int, list[int]] = {}
    known: set[tuple[int, int]] = set()

    def add(a: int, b: int) -> bool:
        if (a, b) in known:
            return False
        known.add((a, b))
        extra.setdefault(a, []).append(b)
        return True

    for read, source in relations.source.items():
        if source == INITIAL:
            for _, items in relations.writers.get(relations.key[read], {}).values():
                add(read, items[0])  # what was there at the start was read before anything was written
    while True:
        order = relations.sorted(extra)
        if len(order) < len(relations.items):
            return _circle(relations, extra)
        clocks = _clocks(relations, order, extra)
        grown = False
        for read, source in relations.source.items():
            for older in relations.latest_writes(relations.key[read], clocks[read]):
                if older != source and source != INITIAL and not _before(relations, clocks, older, source):
                    grown |= add(older, source)
        for i in relations.items:
            if relations.write[i]:
                for older in relations.latest_writes(relations.key[i], clocks[i]):
                    for read in relations.readers.get(older, ()) if older != i else ():
                        if not _before(relations, clocks, read, i):
                            grown |= add(read, i)
        if not grown:
            return ClockOrder(relations, clocks)


def _before(relations: Relations, clocks: Clocks, a: int, b: int) -> bool:
    return bool(clocks[b][relations.lane[a]] > relations.place[a])


def _clocks(relations: Relations, order: Sequence[int], extra: Mapping[int, list[int]]) -> Clocks:
    clocks = np.zeros((len(relations.trace.rows), relations.lanes), dtype=np.int32)
    for i in order:
        clocks[i][relations.lane[i]] = max(clocks[i][relations.lane[i]], relations.place[i] + 1)
        for j in (*relations.after(i), *extra.get(i, ())):
            np.maximum(clocks[j], clocks[i], out=clocks[j])
    return clocks


def _circle(relations: Relations, extra: Mapping[int, list[int]]) -> Pattern:
    circle = find_cycle(relations, extra)
    told = "; ".join(relations.trace.tell(i) for i in circle)
    return Pattern(
        "a cycle",
        relations.rows(circle),
        f"in any order of all operations these come before each other: {told}.",
    )


def with_versions(relations: Relations, versions: Mapping[int, Sequence[int]]) -> Pattern | None:
    """The linear check where the order of the writes (items) to every key is known, the oldest first.

    Edges: session order, reading, from each version to the next (WW), from each read to the next version (RW).
    """
    extra: dict[int, list[int]] = {}
    first: dict[int, int] = {}
    following: dict[int, int] = {}
    alive = {i for i in relations.items if relations.write[i]}
    for key, known in versions.items():
        order = [w for w in known if w in alive]
        if order:
            first[key] = order[0]
        for a, b in itertools.pairwise(order):
            extra.setdefault(a, []).append(b)
            following[a] = b
    for read, source in relations.source.items():
        newer = first.get(relations.key[read]) if source == INITIAL else following.get(source)
        if newer is not None and relations.trace.rows[newer] != relations.trace.rows[read]:
            extra.setdefault(read, []).append(newer)
    if len(relations.sorted(extra)) == len(relations.items):
        return None
    return _circle(relations, extra)
