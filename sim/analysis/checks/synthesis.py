"""Synthetic histories of clients of one atomic store, with parameters that add violations.

For tests, benchmarks and lessons; simulated systems make their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["synthetic"]

_MIX = {"write": 0.5, "read": 0.5}


def synthetic(
    n: int,
    *,
    clients: int = 5,
    keys: int = 1,
    mix: Mapping[str, float] = _MIX,
    values: int | None = None,
    unknown: float = 0.0,
    stale: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """A history of ``n`` operations by concurrent clients of one atomic key-value store.

    Parameters
    ----------
    clients: how many have an operation open at any time; each waits for an answer (1 s on average) and goes on.
    keys: how many keys, chosen uniformly.
    mix: kind -> weight, of read, write, get, put, cas, append, increment, delete.
    values: written values are drawn from so many; None: each is written once. With appends all values are words.
    unknown: the share of operations that are never answered; half of them take effect, perhaps much later. The
        client goes on as a new process.
    stale: the share of reads that return the version before the current one (no longer linearizable then).
    """
    if n < 0 or clients < 1 or keys < 1:
        raise ValueError(f"a history needs n ≥ 0, clients ≥ 1 and keys ≥ 1, not {n}, {clients}, {keys}")
    rng = np.random.default_rng(seed)
    rounds = -(-n // clients)
    latency = rng.exponential(1.0, (rounds, clients))
    call = (np.cumsum(latency, axis=0) - latency).ravel()[:n]
    latency = latency.ravel()[:n]
    lost = rng.random(n) < unknown
    delay = latency * np.where(lost, 20.0, 1.0) * rng.random(n)
    never = lost & (rng.random(n) < 0.5)
    point = np.where(never, np.inf, call + delay)
    names = sorted(mix)
    weights = np.array([mix[name] for name in names])
    kinds = rng.choice(len(names), n, p=weights / weights.sum())
    order = np.argsort(call, kind="stable")
    incarnation = np.zeros((rounds, clients), dtype=np.int64)
    incarnation.ravel()[:n] = lost
    incarnation = (np.cumsum(incarnation, axis=0) - incarnation) * clients + np.arange(clients)
    store = _Store(n, [names[k] for k in kinds], rng.integers(0, keys, n), values, stale, rng)
    for i in np.argsort(point, kind="stable").tolist():
        store.take(i, happens=bool(np.isfinite(point[i])))
    refused = np.array(store.refused, dtype=bool)
    frame = pd.DataFrame(
        {
            "process": incarnation.ravel()[:n],
            "kind": store.kinds,
            "key": [f"k{k}" for k in store.keys],
            "value": pd.Series(store.values, dtype=object),
            "result": pd.Series(store.results, dtype=object),
            "called": call,
            "returned": np.where(lost, np.nan, call + latency),
            "status": np.where(lost, "info", np.where(refused, "fail", "ok")),
        }
    )
    return frame.iloc[order].reset_index(drop=True)


class _Store:
    """The atomic store, which fills in what each operation came back with."""

    def __init__(
        self, n: int, kinds: list[str], keys: Any, values: int | None, stale: float, rng: np.random.Generator
    ) -> None:
        self.kinds, self.keys = kinds, keys.tolist()
        self.values: list[Any] = (
            np.arange(1, n + 1) if values is None else rng.integers(1, values + 1, n)
        ).tolist()
        if "append" in kinds:
            self.values = [f" {v}" for v in self.values]
        self.guess: list[int] = rng.integers(1, (values or 1) + 1, n).tolist()
        self.results: list[Any] = [None] * n
        self.refused = [False] * n
        self.repeated = values is not None
        self.stale: list[bool] = (rng.random(n) < stale).tolist()
        self.now: dict[int, Any] = {}
        self.former: dict[int, Any] = {}

    def take(self, i: int, happens: bool) -> None:
        kind, key = self.kinds[i], self.keys[i]
        old = self.now.get(key)
        if kind in {"read", "get"}:
            self.values[i] = self.former.get(key) if self.stale[i] else old
            return
        if kind == "cas":
            expected = self.guess[i] if self.repeated and i % 2 else old
            self.values[i] = [expected, self.values[i]]
            self.refused[i] = expected != old
            new = self.values[i][1]
        elif kind == "append":
            new = (old or "") + self.values[i]
        elif kind == "increment":
            new = (old or 0) + self.values[i]
            self.results[i] = new if happens else None
        elif kind == "delete":
            self.values[i] = new = None
        else:
            new = self.values[i]
        if happens and not self.refused[i]:
            self.former[key], self.now[key] = old, new
