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

from sim.analysis.checks.clusters import Bools, Clusters, Ints
from sim.analysis.checks.columns import INFO, History
from sim.analysis.checks.verdict import name, show

__all__ = ["ZoneViolation", "Zones", "judge_zones"]


@dataclass(frozen=True, slots=True)
class ZoneViolation:
    """Why there is no order: the rows that show it, and the argument."""

    rows: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """The result: ``judged`` per key (the other keys need a search), and a violation in one of the judged keys.

    ``order``: all rows that took effect on judged keys, key by key in the order of a linearization (where asked for).
    """

    judged: Bools
    violation: ZoneViolation | None
    order: Ints | None = None


def judge_zones(
    history: History,
    initial: Ints,
    *,
    regular: bool = False,
    mismatch: bool = False,
    witness: bool = False,
    strict: bool = False,
) -> Zones:
    """Judge every key whose written values are unique.

    ``initial``: the code of each key's initial value (-1: one that nobody mentions). ``mismatch``: a failed cas
    asserts something, so keys with one are left to the search. What is called at the instant at which something else
    returns is concurrent with it, unless both are of one process; where that makes a difference, the key is not
    judged. ``strict``: nor is it where it makes a difference between processes.
    """
    clusters = _Zones(history, initial, regular, mismatch)
    for find in (clusters.thin_air, clusters.from_the_future, clusters.broken_chain, clusters.crossing):
        violation = find()
        if violation is not None:
            return Zones(
                clusters.judged, ZoneViolation(clusters.with_evidence(violation.rows), violation.reason)
            )
    judged = clusters.judged
    if strict or (not regular and _touching(history)):
        clusters = _Zones(history, initial, regular, mismatch, closed=True)
        clusters.judged &= ~clusters.bad_keys()
        judged = clusters.judged
    return Zones(judged, None, clusters.order() if witness else None)


def _touching(history: History) -> bool:
    """Whether some process called an operation at the instant at which another of its operations returned."""
    if history.process is None:
        return False
    times = np.concatenate([history.returned, history.called])
    who = np.concatenate([history.process, history.process])
    calls = np.repeat([False, True], len(history))
    order = np.lexsort((calls, times, who))
    who, times, calls = who[order], times[order], calls[order]
    return bool(np.any((who[1:] == who[:-1]) & (times[1:] == times[:-1]) & calls[1:] & ~calls[:-1]))


class _Zones(Clusters):
    """Finds contradictions between clusters, and explains them."""

    def thin_air(self) -> ZoneViolation | None:
        """A read returned a value that was never written."""
        h = self.history
        lost = self.reads[self.read_of < 0]
        swapped = self.writer[self.alive & (self.before == -2)]
        if not len(lost) and not len(swapped):
            return None
        row = int(min([*lost[:1], *swapped[:1]], key=lambda r: h.returned[r]))
        op = h.operation(row)
        value = op.value[0] if op.kind == "cas" else op.value
        reason = f"{_on(op.key)}nobody wrote {show(value)}, which {op} saw"
        if self.initial[h.key[row]] == 0 and value in (0, ""):
            reason += f" (keys start as null here; pass initial={value!r} if they start as {value!r})"
        return ZoneViolation((row,), reason + ".")

    def from_the_future(self) -> ZoneViolation | None:
        """A read returned before the write of its value was called."""
        early = self._early()
        if not len(early):
            return None
        at = early[np.argmin(self.read_return[early])]
        read, write = int(self.reads[at]), int(self.writer[self.read_of[at]])
        h = self.history
        return ZoneViolation(
            (read, write),
            f"{h.operation(read)} returned before the write of its value was called: {h.operation(write)}.",
        )

    def _early(self) -> Ints:
        return np.flatnonzero((self.read_of >= 0) & (self.read_return < self.called[self.read_of]))

    def broken_chain(self) -> ZoneViolation | None:
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
            return ZoneViolation(
                rows,
                f"Both {h.operation(rows[0])} and {h.operation(rows[1])} replaced {show(value)}, written once.",
            )
        if self.cyclic.any():
            start = at = int(np.flatnonzero(self.cyclic & self._on_cycle())[0])
            circle = [at]
            while (at := int(self.before[at])) != start:
                circle.append(at)
            rows = tuple(int(self.writer[c]) for c in reversed(circle))
            return ZoneViolation(
                rows, "These cas each need the one before them to have happened, in a circle."
            )
        return self._backwards()

    def _on_cycle(self) -> Bools:
        """Clusters that the contraction ended in: after so many steps back, one is inside the circle."""
        on = np.zeros(self.count, dtype=bool)
        on[self.root[self.cyclic]] = True
        return on

    def _backwards(self) -> ZoneViolation | None:
        """Inside a chain: something of a later cluster returned before something of an earlier one was called."""
        bad = self._out_of_turn()
        if not len(bad):
            return None
        later = int(bad[0])
        members = np.flatnonzero(self.alive)
        chain = members[(self.root[members] == self.root[later]) & (self.depth[members] < self.depth[later])]
        return self._conflict(int(chain[np.argmax(self.s[chain])]), later, chained=True)

    def _out_of_turn(self) -> Ints:
        """Clusters that must come before an earlier one of their chain."""
        members = np.flatnonzero(self.alive)
        members = members[np.lexsort((self.depth[members], self.root[members]))]
        base = self.root[members] * (self.never + 1)
        latest = np.maximum.accumulate(base + self.s[members])[:-1]  # of an earlier chain: too low to matter
        return np.asarray(members[1:][base[1:] + self.f[members[1:]] < latest])

    def crossing(self) -> ZoneViolation | None:
        """Two blocks of which each must come before the other."""
        blocks, low, high, least, greatest = self._blocks()
        ahead, behind = self._crossings(blocks, low, high)
        if not len(ahead):
            return None
        widest = np.maximum(high[ahead], high[behind]) - np.minimum(low[ahead], low[behind])
        best = int(np.argmin(widest))
        a, b = int(ahead[best]), int(behind[best])
        return self._conflict((int(least[a]), int(greatest[a])), (int(least[b]), int(greatest[b])))

    def _crossings(self, blocks: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """Pairs of blocks (their places in ``blocks``) of which each must come before the other."""
        base = self.key[blocks] * (self.never + 1)
        f, s = base + low, base + high
        forward = np.flatnonzero(f < s)
        forward = forward[np.argsort(f[forward], kind="stable")]
        overlap = np.flatnonzero(f[forward[1:]] < s[forward[:-1]])
        backward = np.flatnonzero(f >= s)
        at = np.searchsorted(f[forward], s[backward], side="left") - 1  # the last zone that begins before s
        inside = np.flatnonzero(at >= 0)
        inside = inside[s[forward[at[inside]]] > f[backward[inside]]]
        ahead = np.concatenate([forward[overlap], forward[at[inside]]])
        return ahead, np.concatenate([forward[overlap + 1], backward[inside]])

    def bad_keys(self) -> Bools:
        """The keys with an operation out of place (beyond what `thin_air` and twins of cas find)."""
        blocks, low, high, _, _ = self._blocks()
        ahead, _ = self._crossings(blocks, low, high)
        bad = np.zeros(self.keys, dtype=bool)
        bad[self.key[blocks[ahead]]] = True
        bad[self.key[self._out_of_turn()]] = True
        bad[self.history.key[self.reads[self._early()]]] = True
        return bad

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
    ) -> ZoneViolation:
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
            rows += [*self._links(a_least, a_greatest), *self._links(b_least, b_greatest)]
            if first_a >= 0:
                rows += [first_a, last_b]
                parts.append("but " + self._must_precede(a_least, first_a, b_greatest, last_b))
            else:
                parts.append(f"but {self._value(a_least)} was there before anything was written")
            if a_least != a_greatest or b_least != b_greatest:
                parts.append("and nothing comes between values that cas made out of each other")
        key = h.operation(max(rows)).key
        shown = sorted({r for r in rows if r >= 0}, key=lambda r: (h.called[r], r))
        return ZoneViolation(tuple(shown), _on(key) + "; ".join(parts) + ".")

    def with_evidence(self, rows: tuple[int, ...]) -> tuple[int, ...]:
        """The rows, and for those of unknown outcome what shows that they happened."""
        h = self.history
        found = list(rows)
        for row in found:  # grows while it is walked
            if h.status[row] != INFO:
                continue
            cluster = int(np.flatnonzero(self.writer == row)[0])
            seen = self.reads[self.read_of == cluster]
            follow = self.writer[self.alive & (self.before == cluster)]
            found += [int(r) for r in (*seen[:1], *follow[:1])][:1]
        return tuple(sorted(dict.fromkeys(found), key=lambda r: (h.called[r], r)))

    def _must_precede(self, one: int, first: int, other: int, last: int) -> str:
        h = self.history
        return (
            f"{self._value(one)} comes before {self._value(other)}, because {h.operation(first)} "
            f"returned before {h.operation(last)} was called"
        )

    def _value(self, cluster: int) -> str:
        row = self.writer[cluster]
        return (
            "the initial value" if row < 0 else f"value {show(self.history.values[self.history.value[row]])}"
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
        rows = rows[ranks]
        return np.asarray(rows[self.judged[self.history.key[rows]]], dtype=np.int64)


def _on(key: object) -> str:
    return "" if key is None else f"Key {name(key)}: "
