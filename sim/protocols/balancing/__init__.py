"""Load balancing and request resilience: policies, balancers, servers, and what protects them.

Systems: `Balanced` (stateless servers) and `BalancedStore` (a replicated store behind balancers).
"""

from sim.protocols.balancing.autoscale import Autoscale
from sim.protocols.balancing.balanced import Balanced
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
from sim.protocols.balancing.service_times import (
    Bimodal,
    Deterministic,
    ExponentialService,
    LognormalService,
    MeasuredService,
    ParetoService,
    ServiceTime,
    as_service_time,
)
from sim.protocols.balancing.store import BalancedStore

__all__ = [
    "Answer",
    "Ask",
    "Autoscale",
    "Backend",
    "Balanced",
    "BalancedStore",
    "Bimodal",
    "BoundedLoad",
    "CircuitBreaker",
    "Codel",
    "ConnectionLimit",
    "Deterministic",
    "ExponentialService",
    "HealthChecks",
    "Hedge",
    "JoinIdleQueue",
    "JoinShortestQueue",
    "JumpHash",
    "LeastConnections",
    "LognormalService",
    "Maglev",
    "MeasuredService",
    "OutlierEjection",
    "ParetoService",
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
    "ServiceTime",
    "SlowStart",
    "SmoothWeightedRoundRobin",
    "Tied",
    "Timeout",
    "WeightedRandom",
    "as_service_time",
    "hash64",
    "keys_moved",
    "place_keys",
]
