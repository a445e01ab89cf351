"""Probabilistically bounded staleness: computes latencies and staleness from the delays of quorum messages.

Bailis, Venkataraman, Franklin, Hellerstein, Stoica, "Probabilistically Bounded Staleness for Practical Partial Quorums"
(PVLDB 5(8), 2012), section 4.1. In their model, WARS, a coordinator sends a write to all N replicas; the write is
committed when W replicas have acknowledged it. Another coordinator sends a read to all replicas, t seconds after the
commit, and returns the newest of the first R replies. The read is stale unless one of these R replicas had the write
when the read request arrived.

The delays may be draws of distributions, or come from the traced messages of a simulated protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.analysis.samples import require_all_messages
from sim.arguments import checked

__all__ = ["Wars", "sampled", "wars", "wars_of_messages"]

Floats = NDArray[np.float64]

_BLOCK = 250_000


class Wars(NamedTuple):
    """One entry per trial, in seconds."""

    write_latency: Floats
    """Time until W replicas had acknowledged the write."""
    read_latency: Floats
    """Time until R replicas had replied to the read."""
    visible_after: Floats
    """The shortest time after the commit at which a read that begins then sees the write; 0: at once."""

    def consistent(self, t: float) -> float:
        """The share of reads that see the write, if they begin ``t`` seconds after the commit."""
        return float((self.visible_after <= t).mean())


@checked
def wars(w: Any, a: Any, r: Any, s: Any, *, reads: int, writes: int) -> Wars:
    """Latencies and staleness of trials.

    Args:
        w, a, r, s: delays in seconds of write requests, acknowledgements, read requests and replies, of shape
            (trials, N): one column per replica.
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
    )  # earliest start of the read at which one of these replicas has the write
    latency = np.take_along_axis(replies, first[:, -1:], axis=1)[:, 0]
    return Wars(committed, latency, np.maximum(had - committed, 0.0))


def sampled(
    w: Any, a: Any, r: Any, s: Any, *, n: int, reads: int, writes: int, trials: int, seed: int = 0
) -> Wars:
    """Trials with independent delays.

    Args:
        w, a, r, s: the distributions of the delays of the four kinds of message, each with a method ``draws(rng)`` that
            returns a function of the number of draws (`sim.distributions`); or a sequence of N of them, one for each
            replica.
        n, reads, writes: the number of replicas N, R and W.

    Raises ValueError for a sequence of another length.
    """
    rng = np.random.default_rng([seed, 0x9B5])
    draws = [_columns(given, n, rng) for given in (w, a, r, s)]
    blocks = []
    for first in range(0, trials, _BLOCK):
        size = min(_BLOCK, trials - first)
        delays = [draw(size) for draw in draws]
        blocks.append(wars(*delays, reads=reads, writes=writes))
    return Wars(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _columns(given: Any, n: int, rng: np.random.Generator) -> Callable[[int], Floats]:
    """A function of the number of trials that draws a column of delays for each replica."""
    if not isinstance(given, Sequence):
        draw = given.draws(rng)
        return lambda size: draw(size * n).reshape(size, n)
    if len(given) != n:
        raise ValueError(f"one distribution for each of {n} replicas is needed, not {len(given)}")
    each = [distribution.draws(rng) for distribution in given]
    return lambda size: np.column_stack([draw(size) for draw in each])


@checked
def wars_of_messages(
    messages: pd.DataFrame, *, writer: str, reader: str, replicas: list[str], kinds: tuple[str, str, str, str]
) -> tuple[Floats, Floats, Floats, Floats]:
    """The delays of a run in which as many writes as reads were sent, each to all replicas, in order.

    Args:
        messages: the traced messages. writer, reader: the coordinators. replicas: their columns, in order.
        kinds: the kinds of write requests, acknowledgements, read requests and replies.

    Raises:
        ValueError: the trace holds a share of the messages only.
    """
    require_all_messages(messages, "a pairing of requests and answers")

    def delays(kind: str, src: str, dst: str) -> Floats:
        link = messages[(messages["kind"] == kind) & (messages["src"] == src) & (messages["dst"] == dst)]
        link = link.sort_values("sent", kind="stable")
        found: Floats = (link["delivered"] - link["sent"]).to_numpy(dtype=np.float64)
        return found

    request, acknowledgement, query, reply = kinds
    w = np.column_stack([delays(request, writer, replica) for replica in replicas])
    r = np.column_stack([delays(query, reader, replica) for replica in replicas])
    # Answers may overtake each other, so they are sorted by their requests.
    a = np.column_stack(
        [_answers(messages, acknowledgement, replica, writer, request) for replica in replicas]
    )
    s = np.column_stack([_answers(messages, reply, replica, reader, query) for replica in replicas])
    return w, a, r, s


def _answers(messages: pd.DataFrame, kind: str, src: str, dst: str, request: str) -> Floats:
    """The delays of answers, in the order in which their requests were sent."""
    m = messages
    there = m[(m["kind"] == request) & (m["src"] == dst) & (m["dst"] == src)].sort_values(
        "sent", kind="stable"
    )
    back = m[(m["kind"] == kind) & (m["src"] == src) & (m["dst"] == dst)]
    arrived = there["delivered"].to_numpy(dtype=np.float64)
    sent = back["sent"].to_numpy(dtype=np.float64)
    delay = back["delivered"].to_numpy(dtype=np.float64) - sent
    # Replicas answer at once, so the k-th request to arrive is the k-th to be answered.
    found = np.empty_like(arrived)
    found[np.argsort(arrived, kind="stable")] = delay[np.argsort(sent, kind="stable")]
    return found
