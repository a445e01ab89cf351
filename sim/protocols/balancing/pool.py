"""The view that a balancer has of its backends; policies pick from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sim.node import RandomSource

__all__ = ["Backend", "Pool", "least"]


class Backend:
    """One backend, as one balancer sees it.

    Attributes
    ----------
    name, index: its name, and its number among all backends.
    weight: its weight (> 0).
    in_flight: the number of unanswered requests from this balancer.
    others: the number of requests from other balancers, according to their last gossip.
    reported: the number of requests in the server, according to its last report (in an answer, or when polled).
    healthy: the result of active health checks. ejected: excluded for some time because of its errors.
    joined_at: the time at which it joined (monotonic seconds); -inf for the first members.
    notice: the number of its newest `Idle` or `Busy`.
    taken: the number of the `Idle` because of which the policy has just picked it; 0: none.
    breaker: its circuit breaker; None without breakers.
    """

    __slots__ = (
        *("breaker", "ejected", "ejections", "errors_in_row", "healthy", "in_flight"),
        *("index", "joined_at", "name", "notice", "others", "picked", "reported", "taken"),
        "weight",
    )

    def __init__(self, name: str, index: int, weight: float = 1.0) -> None:
        self.name = name
        self.index = index
        self.weight = weight
        self.in_flight = 0
        self.others = 0
        self.reported = 0
        self.picked = 0
        self.notice = 0
        self.taken = 0
        self.healthy = True
        self.ejected = False
        self.ejections = 0
        self.errors_in_row = 0
        self.joined_at = -float("inf")
        self.breaker: Any = None

    @property
    def fit(self) -> bool:
        """Whether it is healthy and not ejected."""
        return self.healthy and not self.ejected

    def __repr__(self) -> str:
        return f"Backend({self.name}, weight={self.weight}, in_flight={self.in_flight})"


class Pool:
    """The backends of one balancer.

    Attributes
    ----------
    members: all backends that have joined and are not draining, in order. Hash policies map keys to these.
    available: the members that may be picked now: healthy and not ejected. If fewer than a fraction ``panic`` of the
        members are fit, health is ignored, and all members are available (Envoy's panic mode).
    random: the balancer's stream of random numbers. now: its monotonic clock, in seconds.
    state: the return value of the policy's ``start``.
    """

    def __init__(self, random: RandomSource, clock: Callable[[], float], panic: float = 0.0) -> None:
        self.random = random
        self.clock = clock
        self.panic = panic
        self.members: list[Backend] = []
        self.available: list[Backend] = []
        self.by_name: dict[str, Backend] = {}
        self.panicking = False
        self.state: Any = None

    @property
    def now(self) -> float:
        """The balancer's monotonic clock, in seconds."""
        return self.clock()

    def set_members(self, members: Iterable[Backend]) -> None:
        """Replace the members; they are sorted by their index."""
        self.members = sorted(members, key=lambda backend: backend.index)
        self.refresh()

    def refresh(self) -> None:
        """Compute the available backends again."""
        fit = [backend for backend in self.members if backend.fit]
        self.panicking = len(fit) < self.panic * len(self.members)
        self.available = list(self.members) if self.panicking else fit


def least(candidates: list[Backend], cost: Callable[[Backend], float], random: RandomSource) -> Backend:
    """The candidate with the smallest cost; ties are broken at random, with equal probabilities."""
    costs = [cost(backend) for backend in candidates]
    lowest = min(costs)
    tied = [backend for backend, its_cost in zip(candidates, costs, strict=True) if its_cost == lowest]
    return tied[0] if len(tied) == 1 else random.choice(tied)
