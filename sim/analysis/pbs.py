"""Probabilistically bounded staleness: from the delays of quorum messages to latencies and staleness.

Bailis, Venkataraman, Franklin, Hellerstein, Stoica, "Probabilistically Bounded Staleness for Practical Partial Quorums"
(PVLDB 5(8), 2012), section 4.1. In their model, WARS, a coordinator sends a write to all N replicas and has it
committed when W have acknowledged; another sends a read to all, t seconds after the commit, and returns the newest of
the first R replies. The read is stale unless one of these R replicas had the write when the request reached it.

The arrays may come from anywhere: from draws of distributions, or from the traced messages of a simulated protocol.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Wars", "sampled", "wars", "wars_of_messages"]

Floats = NDArray[np.float64]

_BLOCK = 250_000


class Wars(NamedTuple):
    """One entry a trial, all in seconds."""

    write_latency: Floats
    """Until W replicas had acknowledged."""
    read_latency: Floats
    """Until R replicas had replied."""
    visible_after: Floats
    """How long after the commit a read must begin to see the write; 0: at any time."""

    def consistent(self, t: float) -> float:
        """The share of reads, begun ``t`` seconds after the commit, that see the write."""
        return float((self.visible_after <= t).mean())


def wars(w: Any, a: Any, r: Any, s: Any, *, reads: int, writes: int) -> Wars:
    """Latencies and staleness of trials.

    Args:
        w, a, r, s: delays in seconds of write requests, acknowledgements, read requests and replies, of shape
            (trials, N): one column a replica.
        reads, writes: R and W, from 1 to N.

    Raises ValueError when the shapes differ, or R or W is out of range.
    """
    delays = [np.asarray(x, dtype=np.float64) for x in (w, a, r, s)]
    shapes = {x.shape for x in delays}
    if len(shapes) > 1 or delays[0].ndim != 2:
        raise ValueError(f"four arrays of the shape (trials, replicas) are needed, not {sorted(shapes)}")
    n = delays[0].shape[1]
    for name, count in (("reads", reads), ("writes", writes)):
        if not 1 <= count <= n:
            raise ValueError(f"{name} must be from 1 to {n}, not {count!r}")
    w, a, r, s = delays
    committed = np.sort(w + a, axis=1)[:, writes - 1]
    replies = r + s
    first = np.argsort(replies, axis=1, kind="stable")[:, :reads]
    had = np.take_along_axis(w - r, first, axis=1).min(
        axis=1
    )  # when a read must begin for one of them to have it
    latency = np.take_along_axis(replies, first[:, -1:], axis=1)[:, 0]
    return Wars(committed, latency, np.maximum(had - committed, 0.0))


def sampled(
    w: Any, a: Any, r: Any, s: Any, *, n: int, reads: int, writes: int, trials: int, seed: int = 0
) -> Wars:
    """Trials with independent delays.

    Args:
        w, a, r, s: what the delays of the four kinds of message are drawn from, each with a method ``draws(rng)`` that
            gives a function of how many (`sim.distributions`).
        n, reads, writes: replicas, R and W.
    """
    rng = np.random.default_rng([seed, 0x9B5])
    draws = [distribution.draws(rng) for distribution in (w, a, r, s)]
    blocks = []
    for first in range(0, trials, _BLOCK):
        size = min(_BLOCK, trials - first)
        delays = [draw(size * n).reshape(size, n) for draw in draws]
        blocks.append(wars(*delays, reads=reads, writes=writes))
    return Wars(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def wars_of_messages(
    messages: pd.DataFrame, *, writer: str, reader: str, replicas: list[str], kinds: tuple[str, str, str, str]
) -> tuple[Floats, Floats, Floats, Floats]:
    """The delays of a run in which the same number of writes and reads each went to all replicas, in order.

    Args:
        messages: the traced messages. writer, reader: the coordinators. replicas: their columns, in order.
        kinds: the kinds of write requests, acknowledgements, read requests and replies.
    """

    def delays(kind: str, src: str, dst: str) -> Floats:
        link = messages[(messages["kind"] == kind) & (messages["src"] == src) & (messages["dst"] == dst)]
        link = link.sort_values("sent", kind="stable")
        found: Floats = (link["delivered"] - link["sent"]).to_numpy(dtype=np.float64)
        return found

    request, acknowledgement, query, reply = kinds
    w = np.column_stack([delays(request, writer, replica) for replica in replicas])
    r = np.column_stack([delays(query, reader, replica) for replica in replicas])
    # Answers are in the order of their requests only if sorted by these: they may overtake each other.
    a = np.column_stack(
        [_answers(messages, acknowledgement, replica, writer, request) for replica in replicas]
    )
    s = np.column_stack([_answers(messages, reply, replica, reader, query) for replica in replicas])
    return w, a, r, s


def _answers(messages: pd.DataFrame, kind: str, src: str, dst: str, request: str) -> Floats:
    """Delays of answers in the order in which their requests were sent: each left when its request arrived."""
    m = messages
    there = m[(m["kind"] == request) & (m["src"] == dst) & (m["dst"] == src)].sort_values(
        "sent", kind="stable"
    )
    back = m[(m["kind"] == kind) & (m["src"] == src) & (m["dst"] == dst)]
    arrived = there["delivered"].to_numpy(dtype=np.float64)
    sent = back["sent"].to_numpy(dtype=np.float64)
    delay = back["delivered"].to_numpy(dtype=np.float64) - sent
    # The k-th request to arrive is the k-th to be answered: replicas answer at once.
    found = np.empty_like(arrived)
    found[np.argsort(arrived, kind="stable")] = delay[np.argsort(sent, kind="stable")]
    return found
