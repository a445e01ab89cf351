"""Networks: distributions of latency, links, topologies, measured wide-area latencies."""

from sim.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    LogNormal,
    Mixture,
    Pareto,
    PercentileTable,
    Scipy,
    Uniform,
    as_distribution,
)
from sim.network.fates import Fate, Quiet
from sim.network.topology import GilbertElliott, LinkSpec, Topology, constant, lan, matrix
from sim.network.wan import wan

__all__ = [
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "Fate",
    "Gamma",
    "GilbertElliott",
    "LinkSpec",
    "LogNormal",
    "Mixture",
    "Pareto",
    "PercentileTable",
    "Quiet",
    "Scipy",
    "Topology",
    "Uniform",
    "as_distribution",
    "constant",
    "lan",
    "matrix",
    "wan",
]
