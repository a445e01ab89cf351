"""What several results need to say their set-ups: networks of round trips, and means with standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist, fmean, stdev

from sim.distributions import Distribution, Empirical
from sim.network import matrix
from sim.network.topology import Topology
from sim.validation.form import Estimate

__all__ = ["between", "estimate", "normal", "of_round_trips"]


def of_round_trips(
    sites: Sequence[str], round_trips: Mapping[str, float], *, at_home: float = 0.0, stretch: float = 1.0
) -> Topology:
    """A network with constant latencies: half of each round trip, one way.

    ``round_trips``: ``"A-B"`` -> milliseconds, in either order of the two sites. ``at_home``: the round trip between
    two hosts of one site (ms). ``stretch``: the factor by which all are longer.
    """
    return matrix(
        sites,
        [
            [(at_home if a == b else between(round_trips, a, b)) * stretch / 2000 for b in sites]
            for a in sites
        ],
    )


def between(round_trips: Mapping[str, float], a: str, b: str) -> float:
    """The round trip between two sites (ms). Raises KeyError if it is not given in either order."""
    return round_trips[f"{a}-{b}"] if f"{a}-{b}" in round_trips else round_trips[f"{b}-{a}"]


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of independent values (at least two) and its standard error."""
    return Estimate(fmean(values), stdev(values) / sqrt(len(values)))


def normal(mean: float, deviation: float) -> Distribution:
    """|Normal(mean, deviation)| in seconds, by 4,000 of its quantiles."""
    law = NormalDist(mean, deviation)
    return Empirical(tuple(abs(law.inv_cdf((i + 0.5) / 4000)) for i in range(4000)))
