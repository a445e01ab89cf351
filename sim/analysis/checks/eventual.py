"""Eventual consistency: after writes have stopped, all readers see the same value, and it was written.

A finite history can show it only if it ends with a quiet period: stop the writes, heal the network, wait, read.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.analysis.checks.columns import FAIL, INFO, OK, READS, WRITES, History, freeze
from sim.analysis.checks.verdict import HistoryOperation, Verdict, seconds, show
from sim.analysis.checks.verdict import name as spelt

__all__ = ["converged", "eventual"]


def eventual(history: History, initial: NDArray[np.int64], *, settle: float = 0.0) -> Verdict:
    """Whether the last reads of all processes agree; only reads that began after the last write count.

    ``initial``: the code of each key's initial value. ``settle``: how long after the last write a read must begin,
    in seconds. Unknown if there is no such read, or if a write of unknown outcome may explain a difference.
    """
    if not history.timed:
        raise ValueError("eventual consistency needs the columns 'called' and 'returned'")
    h = history
    reads = h.kind_is(*READS) & (h.status == OK)
    changes = ~h.kind_is(*READS, "scan") & (h.status != FAIL)
    stray = _stray(h, initial, reads, changes)
    if stray is not None:
        return _verdict(False, f"Nobody wrote what {stray} saw.", (stray,), len(h))
    last = np.full(len(h.keys), -np.inf)
    ends = np.where(h.status == INFO, h.called, h.returned)
    np.maximum.at(last, h.key[changes], ends[changes])
    quiet = np.flatnonzero(reads & (h.called > last[h.key] + settle) & np.isfinite(last[h.key]))
    who = h.process if h.process is not None else np.zeros(len(h), dtype=np.int64)
    order = quiet[np.lexsort((h.called[quiet], who[quiet], h.key[quiet]))]
    final = order[
        np.flatnonzero(np.diff(h.key[order] * (int(who.max(initial=0)) + 1) + who[order], append=-1))
    ]
    open_ends: list[object] = []
    for a, b in itertools.pairwise(final):
        if h.key[a] != h.key[b] or h.value[a] == h.value[b]:
            continue
        unknown = (h.key == h.key[a]) & changes & (h.status == INFO)
        plain = not (unknown & ~h.kind_is(*WRITES, "cas", "delete")).any()
        if unknown.any() and (not plain or np.isin([h.value[a], h.value[b]], _written(h)[unknown]).any()):
            open_ends.append(h.keys[h.key[a]])
            continue
        shown = (h.operation(a), h.operation(b))
        wrote = seconds(h.clock.told(last[h.key[a]]))
        return _verdict(
            False, f"The last write had ended by {wrote}; later {shown[0]}, but {shown[1]}.", shown, len(h)
        )
    if open_ends:
        reason = f"Reads of {open_ends[0]} differ, but a write of unknown outcome may have come between them."
        return _verdict(None, reason, (), len(h))
    if not len(final):
        return _verdict(None, "Nobody read after the last write.", (), len(h))
    keys = len(np.unique(h.key[final]))
    return _verdict(
        True, f"All {len(final)} last reads of {keys} keys, after the last write, agree.", (), len(h)
    )


def _written(h: History) -> NDArray[np.int64]:
    return np.where(h.kind_is("delete"), 0, h.value)


def _stray(
    h: History, initial: NDArray[np.int64], reads: NDArray[np.bool_], changes: NDArray[np.bool_]
) -> HistoryOperation | None:
    """A read of a value that was never written, on keys that only writes change (so they hold written values only)."""
    plain = np.ones(len(h.keys), dtype=bool)
    plain[h.key[changes & ~h.kind_is(*WRITES, "cas", "delete")]] = False
    width = len(h.values) + 1
    names = h.key * width + _written(h)
    known = np.concatenate([names[changes], np.arange(len(h.keys)) * width + initial])
    lost = np.flatnonzero(reads & plain[h.key] & ~np.isin(names, known))
    return h.operation(int(lost[0])) if len(lost) else None


def _verdict(valid: bool | None, reason: str, shown: tuple[HistoryOperation, ...], steps: int) -> Verdict:
    return Verdict(valid, "eventual", "register", reason, shown, None, steps)


def converged(
    replicas: Mapping[str, Mapping[Any, object]],
    written: Mapping[Hashable, Collection[object]] | None = None,
) -> Verdict:
    """Whether replicas hold equal values for every key at the end of a quiet period.

    ``replicas``: node -> (key -> value); a missing key counts as null. ``written``: key -> the values that were ever
    written to it; a value that is none of them (or null) is a violation too.
    """
    names = list(replicas)
    keys = list(dict.fromkeys(key for data in replicas.values() for key in data))
    for key in keys:
        held = {name: freeze(replicas[name].get(key)) for name in names}
        first = names[0]
        for name in names[1:]:
            if held[name] != held[first]:
                reason = f"Key {spelt(key)}: {first} holds {show(held[first])}, but {name} holds {show(held[name])}."
                return _verdict(False, reason, (), len(keys) * len(names))
        stray = written is not None and held[first] not in [None, *map(freeze, written.get(key, ()))]
        if stray:
            return _verdict(
                False,
                f"Key {spelt(key)}: nobody wrote {show(held[first])}.",
                (),
                len(keys) * len(names),
            )
    return _verdict(True, f"{len(names)} replicas agree on {len(keys)} keys.", (), len(keys) * len(names))
