"""Load balancing and request resilience.

Systems: `Balanced`. Policies: `Random`, `WeightedRandom`, `RoundRobin`, `SmoothWeightedRoundRobin`.
"""

from sim.protocols.balancing.balanced import Balanced
from sim.protocols.balancing.policy import (
    Policy,
    Random,
    RoundRobin,
    SmoothWeightedRoundRobin,
    WeightedRandom,
)
from sim.protocols.balancing.pool import Backend, Pool
from sim.protocols.balancing.server import Server
from sim.protocols.balancing.service_times import (
    Bimodal,
    Deterministic,
    Exponential,
    Lognormal,
    Measured,
    Pareto,
    ServiceTime,
)

__all__ = [
    "Backend",
    "Balanced",
    "Bimodal",
    "Deterministic",
    "Exponential",
    "Lognormal",
    "Measured",
    "Pareto",
    "Policy",
    "Pool",
    "Random",
    "RoundRobin",
    "Server",
    "ServiceTime",
    "SmoothWeightedRoundRobin",
    "WeightedRandom",
]
