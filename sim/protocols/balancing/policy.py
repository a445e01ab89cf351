"""What a balancing policy is, and the simplest ones: random, round-robin, and both by weight.

A policy is a small frozen value with ``pick``. A user's own takes three lines:

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

__all__ = ["Policy", "Random", "RoundRobin", "SmoothWeightedRoundRobin", "WeightedRandom"]


class Policy:
    """Base of all policies. Derive a frozen dataclass and override `pick`; the rest where it is needed."""

    __slots__ = ()

    needs: ClassVar[str] = ""
    """What it needs of the system: ``"gossip"``, ``"reports"``, ``"idle"`` or nothing."""

    def check(self, backends: int) -> None:
        """Raise ValueError when the policy cannot work with that many backends."""

    def start(self, pool: Pool) -> Any:
        """The policy's own state for these members (``pool.state``); called whenever the members change."""
        return pool.state

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        """Whom to send a request for ``key``: one of the ``candidates`` (at least one, in order of index)."""
        raise NotImplementedError(f"{type(self).__name__} picks nobody")

    def probes(self, pool: Pool, candidates: list[Backend]) -> Sequence[Backend]:
        """Whom to ask for their load before picking among them; nobody: pick at once."""
        return ()

    def probes_beside(self, pool: Pool) -> Sequence[Backend]:
        """Whom to ask for their load when a request passes, without waiting for the answer."""
        return ()

    def probed(self, pool: Pool, backend: Backend, requests: int, latency: float) -> None:
        """A probe sent beside a request has come back."""

    def answered(self, pool: Pool, backend: Backend, seconds: float, ok: bool) -> None:
        """An attempt has been answered, or has failed, after so many seconds."""

    def idle(self, pool: Pool, backend: Backend) -> None:
        """A backend says that it has nothing to do."""

    @property
    def label(self) -> str:
        """Its name in tables and charts."""
        text = repr(self)
        return text.removesuffix("()")


@dataclass(frozen=True, slots=True)
class Random(Policy):
    """Each backend equally likely."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return pool.random.choice(candidates)


@dataclass(frozen=True, slots=True)
class WeightedRandom(Policy):
    """Each backend with a probability proportional to its weight."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        reach = list(accumulate(backend.weight for backend in candidates))
        drawn = pool.random.uniform(0.0, reach[-1])
        for backend, upper in zip(candidates, reach, strict=True):
            if drawn < upper:
                return backend
        return candidates[-1]  # rounding


class _Cursor:
    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = 0


@dataclass(frozen=True, slots=True)
class RoundRobin(Policy):
    """One after the other."""

    def start(self, pool: Pool) -> _Cursor:
        state: _Cursor = pool.state or _Cursor()
        return state

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

    At each pick every candidate's account grows by its weight; the largest account is picked and pays the sum
    of the weights (nginx, commit 52327e0627f4, 2012). With whole weights every aligned window of as many picks
    as the weights' sum holds each backend exactly as often as its weight says.
    """

    def start(self, pool: Pool) -> dict[str, float]:
        kept = pool.state or {}
        return {backend.name: kept.get(backend.name, 0) for backend in pool.members}

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        accounts = pool.state
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
