"""Load balancing and request resilience: policies, balancers, servers, and what protects them.

Systems: `Balanced` (stateless servers) and `BalancedStore` (a replicated store behind balancers).
"""

from sim.distributions import Exponential
from sim.protocols.balancing.autoscale import Autoscale
from sim.protocols.balancing.balanced import Balanced
from sim.protocols.balancing.fanout import FanOut
from sim.protocols.balancing.hashing import BoundedLoad, JumpHash, Maglev, Rendezvous, RingHash, hash64
from sim.protocols.balancing.load import (
    JoinIdleQueue,
    JoinShortestQueue,
    LeastConnections,
    PeakEwma,
    PowerOfChoices,
)
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.placement import keys_moved, place_keys
from sim.protocols.balancing.policy import (
    Policy,
    Random,
    RoundRobin,
    SmoothWeightedRoundRobin,
    WeightedRandom,
)
from sim.protocols.balancing.pool import Backend, Pool
from sim.protocols.balancing.prequal import Prequal
from sim.protocols.balancing.resilience import (
    CircuitBreaker,
    ConnectionLimit,
    HealthChecks,
    Hedge,
    OutlierEjection,
    RateLimit,
    Retries,
    RetryBudget,
    SlowStart,
    Tied,
    Timeout,
)
from sim.protocols.balancing.server import Codel, Server
from sim.protocols.balancing.store import BalancedStore

__all__ = [
    "Answer",
    "Ask",
    "Autoscale",
    "Backend",
    "Balanced",
    "BalancedStore",
    "BoundedLoad",
    "CircuitBreaker",
    "Codel",
    "ConnectionLimit",
    "Exponential",
    "FanOut",
    "HealthChecks",
    "Hedge",
    "JoinIdleQueue",
    "JoinShortestQueue",
    "JumpHash",
    "LeastConnections",
    "Maglev",
    "OutlierEjection",
    "PeakEwma",
    "Policy",
    "Pool",
    "PowerOfChoices",
    "Prequal",
    "Random",
    "RateLimit",
    "Rendezvous",
    "Retries",
    "RetryBudget",
    "RingHash",
    "RoundRobin",
    "Server",
    "SlowStart",
    "SmoothWeightedRoundRobin",
    "Tied",
    "Timeout",
    "WeightedRandom",
    "hash64",
    "keys_moved",
    "place_keys",
]
