"""Clusters: each value written to a register and the reads that returned it, as arrays (see `zones`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.analysis.checks.columns import FAIL, INFO, OK, READS, WRITES, History

__all__ = ["Bools", "Clusters", "Ints"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Clusters:
    """Clusters of the keys whose written values are unique (``judged``).

    Clusters 0 … keys-1 are the initial values; the others belong to one write each.
    """

    def __init__(
        self, history: History, initial: Ints, regular: bool, mismatch: bool, closed: bool = False
    ) -> None:
        self.history, self.regular = history, regular
        self.initial = initial
        self.closed = closed  # whether an operation that returns at the instant of a call precedes it
        rows_reads, rows_writes = self._sort_rows(mismatch)
        self._number(rows_reads, rows_writes)
        self._drop_unseen()
        self._span()
        self._contract()

    # Building

    def _sort_rows(self, mismatch: bool) -> tuple[Ints, Ints]:
        """The relevant rows; sets ``judged``: the keys whose written values are unique."""
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
        if self.regular:  # there, a cas is a read and a write: `sim.analysis.checks.regular`
            self.judged[h.key[cas & happened]] = False
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
        )  # the cluster that a cas replaced; -1: none, -2: its value was never written
        cas = np.flatnonzero(expected >= 0)
        found = self._cluster(h.key[rows_writes[cas]], expected[cas])
        self.before[self.keys + cas] = np.where(found < 0, -2, found)

    def _cluster(self, key: Ints, value: Ints) -> Ints:
        """The cluster of each value; -1 for a value that was never written."""
        names = key * self.width + value
        if not len(self.write_names):
            place = np.full(len(names), -1)
        else:
            at = np.minimum(np.searchsorted(self.write_names, names), len(self.write_names) - 1)
            place = np.where(self.write_names[at] == names, at + self.keys, -1)
        return np.where(value == self.initial[key], key, place)

    def _drop_unseen(self) -> None:
        """Set ``alive``: clusters that took effect. Writes of unknown outcome took effect if their value was read."""
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
        times = np.concatenate([h.called[rows], h.returned[rows[finite]]])
        distinct, ranks = np.unique(times, return_inverse=True)
        self.never = 2 * len(distinct) + 3
        call, returned = 2 * ranks[: len(rows)] + 2 + self.closed, np.full(len(rows), self.never)
        returned[finite] = 2 * ranks[len(rows) :] + 2
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
