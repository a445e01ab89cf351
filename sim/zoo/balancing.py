"""Mistakes of load balancers, and of clients that retry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from sim.message import replace
from sim.node import Part
from sim.protocols.balancing.balanced import Balanced
from sim.protocols.balancing.guards import Breaker
from sim.protocols.balancing.hashing import RingHash, hash64
from sim.protocols.balancing.load import PeakEwma, PowerOfChoices
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend, Pool, least
from sim.protocols.balancing.resilience import (
    CircuitBreaker,
    HealthChecks,
    Resilience,
    Retries,
    RetryBudget,
    Timeout,
)
from sim.protocols.balancing.resilient import Copy, PendingRequest, ResilientDispatcher
from sim.protocols.balancing.server import Server
from sim.protocols.balancing.store import BalancedStore, StoreDispatcher
from sim.protocols.client import Reply, Request
from sim.protocols.consensus.raft.basic import BasicRaft
from sim.settings import Count, Seconds
from sim.system import System
from sim.zoo.bug import Mutated, bug

__all__ = ["LB1", "LB2", "LB3", "LB4", "LB5", "LB6", "LB7"]


@dataclass(frozen=True, slots=True)
class LeastReported(PowerOfChoices):
    """The server with the least reported load of all, not of two that are drawn."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return least(candidates, lambda backend: backend.reported, pool.random)


@bug("performance", happened="Mitzenmacher, How Useful Is Old Information? (IEEE TPDS 11(1), 2000)")
@dataclass(frozen=True, kw_only=True)
class LB1(Mutated, Balanced):
    """All balancers pick the server whose last report, seconds old, was the best."""

    servers: int | tuple[Server, ...] = 8
    policy: Policy = field(default_factory=lambda: LeastReported(d=2, by="reported"))
    balancers: Count = 2
    poll: Seconds | None = 1.0
    correct_fields: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"policy": PowerOfChoices(d=2, by="reported")}
    )


class SpendsWithoutLimit(ResilientDispatcher):
    """The budget of retries is not asked."""

    def _may_retry(self, job: PendingRequest, reason: str) -> bool:
        retries = self.guards.retries
        return retries is not None and reason in retries.on and job.tries <= retries.most


@bug(
    "metastable",
    happened="Bronson, Charapko, Aghayev, Zhu, Metastable Failures in Distributed Systems (HotOS 2021)",
)
@dataclass(frozen=True, kw_only=True)
class LB2(Mutated, Balanced):
    """Each failed attempt is retried at once, however many others are: the retries outlive what caused them."""

    servers: int | tuple[Server, ...] = 3
    resilience: tuple[Resilience, ...] = (Timeout(attempt=0.1), Retries(most=3, budget=RetryBudget()))
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"dispatcher": SpendsWithoutLimit})


class RetriesUnderNewNames(StoreDispatcher):
    """Each attempt has a session of its own, so that the store takes a retry for a new request."""

    def transmit(self, number: int, copy: Copy, ask: Ask) -> None:
        fresh = (hash64(self.node.name) << 64) + number
        self._numbers[fresh, 1, copy.backend.name] = number
        self.node.send(copy.backend.name, Request(replace(ask.command, session=fresh, sequence=1)))

    def on_reply(self, src: str, msg: Reply) -> None:
        number = self._numbers.pop((msg.session, msg.sequence, src), None)
        if number is not None:
            self.on_answer(src, Answer(number, msg.status, 0, msg.value, msg.result))


@bug("safety", happened="Jepsen's report on jetcd 0.8.2 (2024)")
@dataclass(frozen=True, kw_only=True)
class LB3(Mutated, BalancedStore):
    """A request that timed out is sent again under a new number, so that it may take effect twice."""

    store: System = field(default_factory=lambda: BasicRaft(nodes=3))
    resilience: tuple[Resilience, ...] = (Timeout(attempt=0.1), Retries(most=3))
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"dispatcher": RetriesUnderNewNames})


class OpenHouse(Breaker):
    """Half-open admits everyone."""

    def allows(self, now: float) -> bool:
        return super().allows(now) or self.state == "half-open"


class AdmitsEveryone(ResilientDispatcher):
    """The breakers of its backends admit everyone while they are half-open."""

    def on_start(self) -> None:
        super().on_start()
        for backend in self.pool.by_name.values():
            backend.breaker = OpenHouse(self.guards.breaker)


@bug("safety", happened="smallrye/smallrye-fault-tolerance#323; safe-global/safe-client-gateway#3442")
@dataclass(frozen=True, kw_only=True)
class LB4(Mutated, Balanced):
    """A half-open circuit breaker lets all requests through, not a few to try."""

    servers: int | tuple[Server, ...] = 3
    resilience: tuple[Resilience, ...] = (Timeout(attempt=0.1), CircuitBreaker(failures=3, open_for=0.3))
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"dispatcher": AdmitsEveryone})


@dataclass(frozen=True, slots=True)
class LikesQuickErrors(PeakEwma):
    """The latency of an error counts like that of an answer."""

    def answered(self, pool: Pool, backend: Backend, seconds: float, ok: bool) -> None:
        PeakEwma.answered(self, pool, backend, seconds, True)


@bug(
    "performance",
    happened="Site Reliability Engineering (2016), chapter 20; kubernetes/ingress-nginx#5540 and #9882",
)
@dataclass(frozen=True, kw_only=True)
class LB5(Mutated, Balanced):
    """A server that answers errors quickly looks like the quickest server, and draws the requests."""

    servers: int | tuple[Server, ...] = (Server(errors=1.0, error_time=0.001), Server(), Server())
    policy: Policy = field(default_factory=LikesQuickErrors)
    correct_fields: ClassVar[Mapping[str, Any]] = MappingProxyType({"policy": PeakEwma()})


@dataclass(frozen=True, slots=True)
class Modulo(RingHash):
    """The hash of the key modulo the number of servers."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return candidates[hash64(key) % len(candidates)]


@bug("performance", happened="Karger et al. (STOC 1997) say what hashing modulo n costs; Dynamo (SOSP 2007)")
@dataclass(frozen=True, kw_only=True)
class LB6(Mutated, Balanced):
    """Keys are placed by their hash modulo n, so that nearly all move when a server goes."""

    policy: Policy = field(default_factory=Modulo)
    correct_fields: ClassVar[Mapping[str, Any]] = MappingProxyType({"policy": RingHash()})
    resilience: tuple[Resilience, ...] = (HealthChecks(interval=0.1, timeout=0.05, fall=2, rise=2),)


class NeverPanics(ResilientDispatcher):
    """Each server that fails a check is left out."""

    def on_start(self) -> None:
        super().on_start()
        self.pool.panic = 0.0


@bug("availability", happened="istio/istio#20135; envoyproxy/envoy#2671; Alfatafta et al., Nifty (OSDI 2020)")
@dataclass(frozen=True, kw_only=True)
class LB7(Mutated, Balanced):
    """Every server that fails its check is left out, even if hardly any is left to serve."""

    servers: int | tuple[Server, ...] = 4
    resilience: tuple[Resilience, ...] = (HealthChecks(interval=0.1, timeout=0.05, fall=2, rise=2),)
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({"dispatcher": NeverPanics})
