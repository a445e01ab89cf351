"""The base of balancing policies, and the simplest policies: random, round-robin, and both by weight.

A policy is a small frozen value with a method ``pick``. A policy of your own takes three lines:

>>> @dataclass(frozen=True)
... class FewestEver(Policy):
...     def pick(self, pool, candidates, key):
...         return min(candidates, key=lambda backend: backend.picked)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from sim.protocols.balancing.pool import Backend, Pool
from sim.settings import Value

__all__ = ["Policy", "Random", "RoundRobin", "SmoothWeightedRoundRobin", "WeightedRandom"]


class Policy(Value):
    """Base of all policies. Derive a frozen dataclass and override `pick`, and other methods if needed."""

    __slots__ = ()

    needs: ClassVar[str] = ""
    """The information that it needs: ``""`` (none), a `sim.protocols.balancing.load.LoadView`, ``"reports"`` (requests
    and latency in probe responses) or ``"idle"`` (messages of idle servers)."""

    def check(self, backends: int) -> None:
        """Raise ValueError if the policy cannot work with this number of backends."""

    def start(self, pool: Pool) -> Any:
        """The state of the policy for these members (``pool.state``); called whenever the members change."""
        return pool.state

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        """The backend for a request for ``key``: one of the ``candidates`` (at least one, in order of index)."""
        raise NotImplementedError(f"{type(self).__name__} picks nobody")

    def probes(self, pool: Pool, candidates: list[Backend]) -> Sequence[Backend]:
        """The backends to ask for their load before picking one of them; empty: pick at once."""
        return ()

    def probes_beside(self, pool: Pool) -> Sequence[Backend]:
        """The backends to ask for their load when a request is sent, without waiting for the answer."""
        return ()

    def probed(self, pool: Pool, backend: Backend, requests: int, latency: float) -> None:
        """A probe of `probes_beside` has been answered."""

    def answered(self, pool: Pool, backend: Backend, seconds: float, ok: bool) -> None:
        """An attempt has been answered (``ok``), or has failed, after ``seconds``."""

    def idle(self, pool: Pool, backend: Backend) -> None:
        """A backend has reported that it is idle."""

    def busy(self, pool: Pool, backend: Backend) -> None:
        """A backend that reported to be idle has got a request from another balancer."""

    @property
    def label(self) -> str:
        """Its name in tables and charts."""
        text = repr(self)
        return text.removesuffix("()")


@dataclass(frozen=True, slots=True)
class Random(Policy):
    """A random backend; all are equally likely."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return pool.random.choice(candidates)


@dataclass(frozen=True, slots=True)
class WeightedRandom(Policy):
    """A random backend, with probabilities proportional to the weights."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        reach = list(accumulate(backend.weight for backend in candidates))
        drawn = pool.random.uniform(0.0, reach[-1])
        for backend, upper in zip(candidates, reach, strict=True):
            if drawn < upper:
                return backend
        return candidates[-1]  # only because of rounding


class _Cursor:
    __slots__ = ("next",)

    def __init__(self, first: int) -> None:
        self.next = first


@dataclass(frozen=True, slots=True)
class RoundRobin(Policy):
    """The backends in turn.

    ``random_start``: the first backend is drawn at random, as in Envoy and gRPC. Otherwise it is the first in order,
    and balancers that start at the same time all send their first requests to the same server.
    """

    random_start: bool = True

    def start(self, pool: Pool) -> _Cursor:
        if pool.state is not None:
            kept: _Cursor = pool.state
            return kept
        return _Cursor(pool.random.below(len(pool.members)) if self.random_start and pool.members else 0)

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        cursor: _Cursor = pool.state
        index = cursor.next
        if index >= len(candidates):
            index = 0
        cursor.next = index + 1
        return candidates[index]


@dataclass(frozen=True, slots=True)
class SmoothWeightedRoundRobin(Policy):
    """Round-robin by weight, spread evenly: with weights 5, 1, 1 it picks a a b a c a a.

    At each pick, the account of every candidate grows by its weight; the candidate with the largest account is picked,
    and its account is reduced by the sum of the weights (nginx, commit 52327e0627f4, 2012). With integer weights, each
    window of as many picks as the sum of the weights has each backend exactly as often as its weight says.

    ``random_start``: begin after a random number of picks of one round (at most ten per backend), so that different
    balancers do not begin with the same server.
    """

    random_start: bool = True

    def start(self, pool: Pool) -> dict[str, float]:
        if pool.state is not None:
            return {backend.name: pool.state.get(backend.name, 0) for backend in pool.members}
        accounts: dict[str, float] = {backend.name: 0 for backend in pool.members}
        if self.random_start and accounts:
            weights = [backend.weight for backend in pool.members]
            one_round = round(sum(weights) / min(weights))
            for _ in range(pool.random.below(min(one_round, 10 * len(weights)))):
                self._turn(accounts, pool.members)
        return accounts

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return self._turn(pool.state, candidates)

    @staticmethod
    def _turn(accounts: dict[str, float], candidates: list[Backend]) -> Backend:
        total = 0.0
        best = candidates[0]
        best_account = -float("inf")
        for backend in candidates:
            account = accounts[backend.name] + backend.weight
            accounts[backend.name] = account
            total += backend.weight
            if account > best_account:
                best, best_account = backend, account
        accounts[best.name] = best_account - total
        return best
