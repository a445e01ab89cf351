"""The latency of an ordered link, as a function of time.

Where messages cannot overtake, an independent draw for each would not do: at a thousand messages a second every
message would wait for the slowest of the many before it, and the round trips would be far above their own
distribution (Tokyo to California over two ordered links: a median of 249 ms instead of 134 ms). What varies on
a real path is its condition, which consecutive messages share. So an ordered link keeps one latency for a
while, then draws the next. At any moment the latency has the distribution that was asked for, whatever the rate.
How long a while is, nobody measured (one ping a second): long against the variation, so that the wait after a
fall of the latency, which is as long as the fall, adds little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.distributions import Distribution

__all__ = ["coherence_time", "latency_over_time"]

SPANS = 10
"""A latency is kept for this many times the span between its 1st and 99th percentiles."""

_LEAST = 0.010  # seconds: draws are few even where latencies hardly vary


def coherence_time(distribution: Distribution) -> float:
    """For how many seconds an ordered link keeps one latency; 0 for a constant."""
    span = distribution.quantile(0.99) - distribution.quantile(0.01)
    return max(SPANS * span, _LEAST) if span > 0.0 else 0.0


def latency_over_time(
    distribution: Distribution, seconds: float, rng: np.random.Generator
) -> Callable[[float], float]:
    """A function of the time (never falling, from 0) that returns the latency then.

    Time is cut into spans of ``seconds``, beginning anywhere; each has one draw of ``distribution``, used or not:
    so the conditions at a time depend on the generator alone, not on the messages sent. With 0 seconds, each
    call has its own draw.
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
