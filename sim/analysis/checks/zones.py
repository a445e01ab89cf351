"""Linearizability and regularity of registers whose written values are unique, in O(n log n), vectorised.

Gibbons & Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997, section 3: the *cluster* of a value is its
write and the reads that returned it; in any linearization a cluster is contiguous. Let f be the least return and s
the greatest call in a cluster. One cluster must come before another if f of the one is less than s of the other, and
a linearization exists iff every read follows its write and no two clusters must each come before the other.

Departures: a successful cas from a to b puts cluster b directly after cluster a, so chains of them are contracted
into one block (least f, greatest s), inside which no cluster may have to come before its predecessor. An operation of
unknown outcome never returns (f infinite); it is dropped unless its value was seen. For regular registers reads
bind only forwards: f is the return of the write alone (the multi-writer regularity in docs/consistency.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.analysis.checks.columns import FAIL, INFO, OK, READS, WRITES, History

__all__ = ["Clusters", "Violation", "Zones", "judge_zones"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Violation:
    """Why there is no order: the rows that show it, and the argument."""

    rows: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """What zones can say: ``judged`` per key (the others need a search), and a violation in one of those.

    ``order``: all rows that took effect on judged keys, key by key in the order of a linearization (where asked for).
    """

    judged: Bools
    violation: Violation | None
    order: Ints | None = None


def judge_zones(
    history: History, initial: Ints, *, regular: bool = False, mismatch: bool = False, witness: bool = False
) -> Zones:
    """Judge every key whose written values are unique.

    ``initial``: the code of each key's initial value (-1: one that nobody mentions). ``mismatch``: a failed cas
    asserts something, so keys with one are left to the search.
    """
    clusters = Clusters(history, initial, regular, mismatch)
    judged = clusters.judged
    for find in (clusters.thin_air, clusters.from_the_future, clusters.broken_chain, clusters.crossing):
        violation = find()
        if violation is not None:
            return Zones(judged, violation)
    return Zones(judged, None, clusters.order() if witness else None)


class Clusters:
    """Clusters of the judged keys. Clusters 0 … keys-1 are the initial values; the others belong to one write each."""

    def __init__(self, history: History, initial: Ints, regular: bool, mismatch: bool) -> None:
        self.history, self.regular = history, regular
        self.initial = initial
        rows_reads, rows_writes = self._sort_rows(mismatch)
        self._number(rows_reads, rows_writes)
        self._drop_unseen()
        self._span()
        self._contract()

    # Building

    def _sort_rows(self, mismatch: bool) -> tuple[Ints, Ints]:
        """The rows that matter, and ``judged``: the keys whose written values are unique."""
        h = self.history
        read, write, cas = h.kind_is(*READS), h.kind_is(*WRITES), h.kind_is("cas")
        happened = h.status != FAIL
        rows_writes = np.flatnonzero((write | cas) & happened)
        self.width = len(h.values) + 1
        names = h.key[rows_writes] * self.width + h.value[rows_writes]
        by_name = np.argsort(names, kind="stable")
        self.write_rows, self.write_names = rows_writes[by_name], names[by_name]
        self.judged = np.ones(len(h.keys), dtype=bool)
        twice = np.flatnonzero(self.write_names[1:] == self.write_names[:-1])
        self.judged[h.key[self.write_rows[twice]]] = False
        self.judged[h.key[rows_writes[h.value[rows_writes] == self.initial[h.key[rows_writes]]]]] = False
        self.judged[h.key[~(read | write | cas) & happened]] = False
        if mismatch:
            self.judged[h.key[cas & (h.status == FAIL)]] = False
        keep = self.judged[h.key[self.write_rows]]
        self.write_rows, self.write_names = self.write_rows[keep], self.write_names[keep]
        rows_reads = np.flatnonzero(read & (h.status == OK))
        return rows_reads[self.judged[h.key[rows_reads]]], self.write_rows

    def _number(self, rows_reads: Ints, rows_writes: Ints) -> None:
        h = self.history
        self.keys = len(h.keys)
        self.count = self.keys + len(rows_writes)
        self.writer = np.concatenate([np.full(self.keys, -1), rows_writes])  # row of the write; -1: initial
        self.key = np.concatenate([np.arange(self.keys), h.key[rows_writes]])
        self.reads, self.read_of = rows_reads, self._cluster(h.key[rows_reads], h.value[rows_reads])
        expected = h.expected[rows_writes]
        self.before = np.full(
            self.count, -1
        )  # the cluster that a cas replaced; -1: none, -2: nobody wrote it
        cas = np.flatnonzero(expected >= 0)
        found = self._cluster(h.key[rows_writes[cas]], expected[cas])
        self.before[self.keys + cas] = np.where(found < 0, -2, found)

    def _cluster(self, key: Ints, value: Ints) -> Ints:
        """The cluster of each value; -1 where nobody wrote it."""
        names = key * self.width + value
        if not len(self.write_names):
            place = np.full(len(names), -1)
        else:
            at = np.minimum(np.searchsorted(self.write_names, names), len(self.write_names) - 1)
            place = np.where(self.write_names[at] == names, at + self.keys, -1)
        return np.where(value == self.initial[key], key, place)

    def _drop_unseen(self) -> None:
        """``alive``: clusters that took effect. Writes of unknown outcome did if their value was seen."""
        h = self.history
        unknown = np.zeros(self.count, dtype=bool)
        unknown[self.keys :] = h.status[self.writer[self.keys :]] == INFO
        self.alive = ~unknown
        seen = np.concatenate([self.read_of, self.before[self.alive]])
        while len(seen := np.unique(seen[seen >= 0])) and len(seen := seen[~self.alive[seen]]):
            self.alive[seen] = True
            seen = self.before[seen]  # a cas took effect, so the value that it expected was there

    def _span(self) -> None:
        """f and s of every cluster, in ranks: 0 is before everything, ``never`` after."""
        h = self.history
        rows = np.concatenate([self.reads, self.writer[self.keys :]])
        finite = np.isfinite(h.returned[rows])
        times = np.concatenate([h.call[rows], h.returned[rows[finite]]])
        distinct, ranks = np.unique(times, return_inverse=True)
        self.never = len(distinct) + 1
        call, returned = ranks[: len(rows)] + 1, np.full(len(rows), self.never)
        returned[finite] = ranks[len(rows) :] + 1
        reads = len(self.reads)
        self.read_call, self.read_return = call[:reads], returned[:reads]
        first = np.zeros(self.keys, dtype=np.int64)
        self.called = np.concatenate([first, call[reads:]])
        self.f = np.concatenate([first, returned[reads:]])
        self.s = self.called.copy()
        known = self.read_of >= 0
        np.maximum.at(self.s, self.read_of[known], self.read_call[known])
        if not self.regular:
            np.minimum.at(self.f, self.read_of[known], self.read_return[known])

    def _contract(self) -> None:
        """Chains of cas: ``root`` and ``depth`` of every cluster (``cyclic`` where there is none)."""
        self.root = np.arange(self.count)
        self.depth = np.zeros(self.count, dtype=np.int64)
        self.cyclic = np.zeros(self.count, dtype=bool)
        linked = self.alive & (self.before >= 0)
        if not linked.any():
            return
        self.root[linked] = self.before[linked]
        self.depth[linked] = 1
        for _ in range(int(self.count).bit_length() + 1):
            self.depth += self.depth[self.root]
            self.root = self.root[self.root]
        self.cyclic = linked[self.root]

    # Judging

    def thin_air(self) -> Violation | None:
        """A value was seen that nobody wrote."""
        h = self.history
        lost = self.reads[self.read_of < 0]
        swapped = self.writer[self.alive & (self.before == -2)]
        if not len(lost) and not len(swapped):
            return None
        row = int(min([*lost[:1], *swapped[:1]], key=lambda r: h.returned[r]))
        op = h.operation(row)
        value = op.value[0] if op.kind == "cas" else op.value
        reason = f"{_on(op.key)}nobody wrote {_name(value)}, which {op} saw"
        if self.initial[h.key[row]] == 0 and value in (0, ""):
            reason += f" (keys start as null here; pass initial={value!r} if they start as {value!r})"
        return Violation((row,), reason + ".")

    def from_the_future(self) -> Violation | None:
        """A read returned before the write of its value was called."""
        early = np.flatnonzero((self.read_of >= 0) & (self.read_return < self.called[self.read_of]))
        if not len(early):
            return None
        at = early[np.argmin(self.read_return[early])]
        read, write = int(self.reads[at]), int(self.writer[self.read_of[at]])
        h = self.history
        return Violation(
            (read, write),
            f"{h.operation(read)} returned before the write of its value was called: {h.operation(write)}.",
        )

    def broken_chain(self) -> Violation | None:
        """Two cas replaced one value, cas follow each other in a circle, or a chain of them contradicts time."""
        h = self.history
        linked = np.flatnonzero(self.alive & (self.before >= 0))
        if not len(linked):
            return None
        order = linked[np.argsort(self.before[linked], kind="stable")]
        twins = np.flatnonzero(self.before[order[1:]] == self.before[order[:-1]])
        if len(twins):
            rows = tuple(sorted(int(self.writer[order[twins[0] + i]]) for i in (0, 1)))
            value = h.values[h.expected[rows[0]]]
            return Violation(
                rows,
                f"Both {h.operation(rows[0])} and {h.operation(rows[1])} replaced {_name(value)}, written once.",
            )
        if self.cyclic.any():
            start = at = int(np.flatnonzero(self.cyclic & self._on_cycle())[0])
            circle = [at]
            while (at := int(self.before[at])) != start:
                circle.append(at)
            rows = tuple(int(self.writer[c]) for c in reversed(circle))
            return Violation(rows, "These cas each need the one before them to have happened, in a circle.")
        return self._backwards()

    def _on_cycle(self) -> Bools:
        """Clusters that the contraction ended in: after so many steps back, one is inside the circle."""
        on = np.zeros(self.count, dtype=bool)
        on[self.root[self.cyclic]] = True
        return on

    def _backwards(self) -> Violation | None:
        """Inside a chain: something of a later cluster returned before something of an earlier one was called."""
        members = np.flatnonzero(self.alive)
        members = members[np.lexsort((self.depth[members], self.root[members]))]
        base = self.root[members] * (self.never + 1)
        latest = np.maximum.accumulate(base + self.s[members])[
            :-1
        ]  # greatest s so far; of an earlier chain: too low
        bad = np.flatnonzero(base[1:] + self.f[members[1:]] < latest)
        if not len(bad):
            return None
        later = int(members[bad[0] + 1])
        chain = members[(self.root[members] == self.root[later]) & (self.depth[members] < self.depth[later])]
        return self._conflict(int(chain[np.argmax(self.s[chain])]), later, chained=True)

    def crossing(self) -> Violation | None:
        """Two blocks of which each must come before the other."""
        blocks, low, high, least, greatest = self._blocks()
        base = self.key[blocks] * (self.never + 1)
        f, s = base + low, base + high
        forward = np.flatnonzero(f < s)
        forward = forward[np.argsort(f[forward], kind="stable")]
        found: list[tuple[int, int]] = []
        neighbours = np.flatnonzero(f[forward[1:]] < s[forward[:-1]])
        if len(neighbours):
            best = neighbours[
                np.argmin(
                    np.maximum(s[forward[neighbours]], s[forward[neighbours + 1]]) - f[forward[neighbours]]
                )
            ]
            found.append((int(forward[best]), int(forward[best + 1])))
        backward = np.flatnonzero(f >= s)
        if not found and len(forward) and len(backward):
            at = (
                np.searchsorted(f[forward], s[backward], side="left") - 1
            )  # the last zone that begins before s
            inside = np.flatnonzero((at >= 0) & (s[forward[at]] > f[backward]))
            if len(inside):
                best = inside[np.argmin(f[backward[inside]])]
                found.append((int(forward[at[best]]), int(backward[best])))
        if not found:
            return None
        a, b = found[0]
        return self._conflict((int(least[a]), int(greatest[a])), (int(least[b]), int(greatest[b])))

    def _blocks(self) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        """Roots of the chains, with f and s of each chain and the clusters that they come from."""
        blocks = np.flatnonzero(self.alive & (self.root == np.arange(self.count)))
        if not self.depth.any():
            return blocks, self.f[blocks], self.s[blocks], blocks, blocks
        members = np.flatnonzero(self.alive)
        root = self.root[members]
        by_f = members[np.lexsort((self.f[members], root))]
        by_s = members[np.lexsort((-self.s[members], root))]
        least = by_f[np.searchsorted(self.root[by_f], blocks)]
        greatest = by_s[np.searchsorted(self.root[by_s], blocks)]
        return blocks, self.f[least], self.s[greatest], least, greatest

    # Explaining

    def _conflict(
        self, a: int | tuple[int, int], b: int | tuple[int, int], chained: bool = False
    ) -> Violation:
        """The operations that force block a before block b and block b before block a."""
        h = self.history
        a_least, a_greatest = (a, a) if isinstance(a, int) else a
        b_least, b_greatest = (b, b) if isinstance(b, int) else b
        first_b, last_a = self._first(b_least), self._last(a_greatest)
        parts = [self._must_precede(b_least, first_b, a_greatest, last_a)]
        rows = [first_b, last_a, *(int(self.writer[c]) for c in (a_least, a_greatest, b_least, b_greatest))]
        if chained:
            parts.append(f"but cas made {self._value(b_least)} out of {self._value(a_greatest)}")
            rows += self._links(a_greatest, b_least)
        else:
            first_a, last_b = self._first(a_least), self._last(b_greatest)
            rows += [first_a, last_b, *self._links(a_least, a_greatest), *self._links(b_least, b_greatest)]
            if first_a >= 0:
                parts.append("but " + self._must_precede(a_least, first_a, b_greatest, last_b))
            else:
                parts.append(f"but {self._value(a_least)} was there before anything was written")
            if a_least != a_greatest or b_least != b_greatest:
                parts.append("and nothing comes between values that cas made out of each other")
        key = h.operation(max(rows)).key
        shown = sorted({r for r in rows if r >= 0}, key=lambda r: (h.call[r], r))
        return Violation(tuple(shown), _on(key) + "; ".join(parts) + ".")

    def _must_precede(self, one: int, first: int, other: int, last: int) -> str:
        h = self.history
        return (
            f"{self._value(one)} comes before {self._value(other)}, because {h.operation(first)} "
            f"returned before {h.operation(last)} was called"
        )

    def _value(self, cluster: int) -> str:
        row = self.writer[cluster]
        return (
            "the initial value" if row < 0 else f"value {_name(self.history.values[self.history.value[row]])}"
        )

    def _links(self, a: int, b: int) -> list[int]:
        """The writes between two clusters of one chain."""
        if self.depth[a] > self.depth[b]:
            a, b = b, a
        rows = []
        while b != a and b >= 0:
            rows.append(int(self.writer[b]))
            b = int(self.before[b])
        return rows if len(rows) <= 8 else []

    def _first(self, cluster: int) -> int:
        """The row of the cluster that returned first; -1: the initial write."""
        if cluster < self.keys or self.regular:
            return int(self.writer[cluster])
        at = np.flatnonzero((self.read_of == cluster) & (self.read_return == self.f[cluster]))
        return int(self.reads[at[0]]) if len(at) else int(self.writer[cluster])

    def _last(self, cluster: int) -> int:
        """The row of the cluster that was called last."""
        at = np.flatnonzero((self.read_of == cluster) & (self.read_call == self.s[cluster]))
        return int(self.reads[at[0]]) if len(at) else int(self.writer[cluster])

    # A witness

    def order(self) -> Ints:
        """All rows that took effect, key by key, in the order of a linearization (of a valid history).

        Zones that go forward (f < s) are disjoint, in order of f; a backward one goes after the forward ones that
        begin before its s, and backward ones between the same two in order of s.
        """
        blocks, low, high, _, _ = self._blocks()
        base = self.key[blocks] * (self.never + 1)
        f, s = base + low, base + high
        backward = f >= s
        starts = np.sort(f[~backward])
        slot = np.where(
            backward, np.searchsorted(starts, s, side="left"), np.searchsorted(starts, f, side="right")
        )
        place = np.empty(self.count, dtype=np.int64)
        place[blocks[np.lexsort((s, backward, slot, self.key[blocks]))]] = np.arange(len(blocks))
        writes = np.flatnonzero(self.alive[self.keys :]) + self.keys
        cluster = np.concatenate([writes, self.read_of])
        rows = np.concatenate([self.writer[writes], self.reads])
        call = np.concatenate([np.full(len(writes), -1), self.read_call])
        ranks = np.lexsort((call, self.depth[cluster], place[self.root[cluster]]))
        return np.asarray(rows[ranks], dtype=np.int64)


def _on(key: object) -> str:
    return "" if key is None else f"Key {key}: "


def _name(value: object) -> str:
    return "null" if value is None else repr(value)
