"""The latency of an ordered link, as a function of time.

On an ordered link, messages cannot overtake each other. An independent draw for each message would be wrong: at a
thousand messages a second, each message would wait for the slowest of many earlier ones, and round trips would be far
longer than their distribution says (Tokyo to California over two ordered links: a median of 249 ms instead of 134 ms).
On a real path, the condition of the path varies, and consecutive messages share it. Therefore an ordered link keeps one
latency for some time, the coherence time, and then draws the next. At any moment the latency has the requested
distribution, at any message rate. There are no measurements of the coherence time (the table has one ping a second).
It is long compared to the variation: when the latency falls, messages wait as long as the fall, and this adds little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.distributions import Distribution

__all__ = ["coherence_time", "latency_over_time"]

SPANS = 10
"""A latency is kept for this many times the span between its 1st and 99th percentiles."""

_LEAST = 0.010  # seconds; limits the number of draws for latencies that hardly vary


def coherence_time(distribution: Distribution) -> float:
    """The time (seconds) for which an ordered link keeps one latency; 0 for a constant latency."""
    span = distribution.quantile(0.99) - distribution.quantile(0.01)
    return max(SPANS * span, _LEAST) if span > 0.0 else 0.0


def latency_over_time(
    distribution: Distribution, seconds: float, rng: np.random.Generator
) -> Callable[[float], float]:
    """A function that takes the time (seconds, from 0, never decreasing) and returns the latency (seconds) then.

    Time is divided into spans of ``seconds`` with a random offset. Each span has one draw of ``distribution``, whether
    it is used or not, so the latency at a time depends only on the generator, not on the messages that were sent. With
    0 seconds, each call makes its own draw.
    """
    draw = distribution.sampler(rng)
    if not seconds > 0.0:
        return lambda now: draw()
    until = seconds * rng.random()
    current = draw()

    def latency(now: float) -> float:
        nonlocal current, until
        while now >= until:
            until += seconds
            current = draw()
        return current

    return latency
