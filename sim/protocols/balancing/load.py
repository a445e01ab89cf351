"""Policies that use the load: least connections, power of d choices, shortest queue, idle queue, peak EWMA."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import ClassVar, Literal

from sim.node import RandomSource
from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend, Pool, least
from sim.settings import Count, Seconds

__all__ = [
    "JoinIdleQueue",
    "JoinShortestQueue",
    "LeastConnections",
    "LoadView",
    "PeakEwma",
    "PowerOfChoices",
    "distinct",
]

LoadView = Literal["own", "shared", "reported", "probe"]
"""How a balancer knows the load of a server. own: its own requests in flight. shared: also those that other balancers
gossiped. reported: the load that the server last reported. probe: it asks the server before each pick."""

_LOADS = {
    "own": lambda backend: backend.in_flight,
    "shared": lambda backend: backend.in_flight + backend.others,
    "reported": lambda backend: backend.reported,
    "probe": lambda backend: backend.reported,  # from the probes that have just been answered
}


def distinct(items: Sequence[Backend], d: int, random: RandomSource) -> list[Backend]:
    """``d`` different items, each combination equally likely; all items if there are at most ``d``."""
    n = len(items)
    if d >= n:
        return list(items)
    if d == 2:
        i = random.below(n)
        j = random.below(n - 1)
        return [items[i], items[j if j < i else j + 1]]
    return random.sample(items, d)


@dataclass(frozen=True, slots=True)
class LeastConnections(Policy):
    """The backend with the fewest of this balancer's requests in flight; ties at random.

    ``weighted``: the smallest (in flight + 1) / weight, that is with the new request included.
    """

    weighted: bool = False

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        if self.weighted:
            return least(candidates, lambda backend: (backend.in_flight + 1) / backend.weight, pool.random)
        return least(candidates, _LOADS["own"], pool.random)


@dataclass(frozen=True, slots=True)
class PowerOfChoices(Policy):
    """The least loaded of ``d`` different backends drawn at random (the supermarket model).

    With ``by="probe"`` these d backends are asked first, which takes another round trip.

    Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.
    """

    d: Count = 2
    by: LoadView = "own"

    @property
    def needs(self) -> str:  # type: ignore[override]
        return self.by

    def check(self, backends: int) -> None:
        if self.d > backends:
            raise ValueError(f"PowerOfChoices: d={self.d!r} choices among {backends} backends")

    def probes(self, pool: Pool, candidates: list[Backend]) -> Sequence[Backend]:
        return distinct(candidates, self.d, pool.random) if self.by == "probe" else ()

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        drawn = candidates if self.by == "probe" else distinct(candidates, self.d, pool.random)
        return least(drawn, _LOADS[self.by], pool.random)


@dataclass(frozen=True, slots=True)
class JoinShortestQueue(Policy):
    """The backend with the fewest requests from all balancers; ties at random.

    Its quality depends on its information: with ``by="reported"`` and many balancers, all of them pick the server that
    last reported the shortest queue (Mitzenmacher, "How Useful Is Old Information?", IEEE TPDS 11(1), 2000).
    With ``by="probe"`` every server is asked before each pick.
    """

    by: LoadView = "reported"

    @property
    def needs(self) -> str:  # type: ignore[override]
        return self.by

    def probes(self, pool: Pool, candidates: list[Backend]) -> Sequence[Backend]:
        return candidates if self.by == "probe" else ()

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return least(candidates, _LOADS[self.by], pool.random)


@dataclass(frozen=True, slots=True)
class JoinIdleQueue(Policy):
    """A server that has reported that it is idle; if there is none, a random server.

    A server that becomes idle tells one random balancer, which adds it to its idle queue; this adds no delay to a
    request. A server in the idle queue of one balancer that gets a request from another balancer asks to be removed
    from the queue. So a server is in at most one queue, and only while it is idle.

    Source: Lu, Xie, Kliot, Geller, Larus, Greenberg, "Join-Idle-Queue", Performance Evaluation 68(11), 2011.
    """

    needs: ClassVar[str] = "idle"

    def start(self, pool: Pool) -> deque[Backend]:
        members = {backend.name for backend in pool.members}
        return deque(backend for backend in pool.state or () if backend.name in members)

    def idle(self, pool: Pool, backend: Backend) -> None:
        if backend not in pool.state:
            pool.state.append(backend)

    def busy(self, pool: Pool, backend: Backend) -> None:
        if backend in pool.state:
            pool.state.remove(backend)

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        idle: deque[Backend] = pool.state
        while idle:
            backend = idle.popleft()
            backend.taken = backend.notice
            if backend in candidates:
                return backend
        return pool.random.choice(candidates)


@dataclass(frozen=True, slots=True)
class PeakEwma(Policy):
    """The cheaper of two random backends; the cost is a moving average of latency times requests in flight.

    The average rises to a higher latency at once, and decays with the time constant ``decay`` (seconds; Finagle's
    ``PeakEwma``). A failed attempt counts as at least ``penalty`` seconds; otherwise a server that answers errors
    quickly would look like the best one.
    """

    decay: Seconds = 10.0
    penalty: Seconds = 1.0

    def start(self, pool: Pool) -> dict[str, tuple[float, float]]:
        kept = pool.state or {}
        return {backend.name: kept.get(backend.name, (0.0, pool.now)) for backend in pool.members}

    def answered(self, pool: Pool, backend: Backend, seconds: float, ok: bool) -> None:
        if backend.name not in pool.state:
            return
        now = pool.now
        average, at = pool.state[backend.name]
        seen = seconds if ok else max(seconds, self.penalty)
        kept = exp(-(now - at) / self.decay)
        average = seen if seen > average * kept else average * kept + seen * (1.0 - kept)
        pool.state[backend.name] = (average, now)

    def cost(self, pool: Pool, backend: Backend) -> float:
        """The expected cost (seconds): the decayed average latency times the requests in flight and the new one."""
        average, at = pool.state[backend.name]
        if average == 0.0:
            return self.penalty * backend.in_flight  # nothing is known: try it with one request
        return float(average * exp(-(pool.now - at) / self.decay) * (backend.in_flight + 1))

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return least(distinct(candidates, 2, pool.random), lambda b: self.cost(pool, b), pool.random)
