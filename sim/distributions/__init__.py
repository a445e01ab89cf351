"""Distributions of times (latency, service, think time), in seconds: frozen values with two ways to draw.

>>> import numpy as np
>>> from sim.distributions import Exponential, Mixture
>>> from sim.units import ms
>>> service = Mixture(((0.95, Exponential(1 * ms)), (0.05, Exponential(20 * ms))))
>>> round(service.mean(), 6)
0.00195
>>> draw = service.sampler(np.random.default_rng(1))
>>> draw() >= 0.0
True
"""

from sim.distributions.base import Affine, Distribution
from sim.distributions.convert import as_distribution, as_work
from sim.distributions.measured import Empirical, PercentileTable, Scipy
from sim.distributions.parametric import (
    Constant,
    Exponential,
    Gamma,
    LogNormal,
    Mixture,
    Pareto,
    Uniform,
    bimodal,
)

__all__ = [
    "Affine",
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "Gamma",
    "LogNormal",
    "Mixture",
    "Pareto",
    "PercentileTable",
    "Scipy",
    "Uniform",
    "as_distribution",
    "as_work",
    "bimodal",
]
