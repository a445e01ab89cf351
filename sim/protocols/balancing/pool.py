"""What a balancer knows of its backends: the view from which policies pick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sim.node import RandomSource

__all__ = ["Backend", "Pool", "least"]


class Backend:
    """One backend, as one balancer sees it.

    Attributes
    ----------
    name, index: who it is, and its number among all backends.
    weight: its share (> 0).
    in_flight: requests that this balancer has sent it and that are unanswered.
    others: requests that other balancers had in flight there when they last said so.
    reported: requests in the server when it last said so (in an answer, or when polled).
    healthy: what active health checks say. ejected: thrown out for its errors, for a while.
    joined_at: when it joined (seconds); -inf for those of the beginning.
    notice: the number of its newest word that it is idle, or idle no longer.
    taken: the number of the word by which the policy has just picked it; 0 for none.
    breaker: its circuit breaker, if there are any.
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
        """Neither unhealthy nor ejected."""
        return self.healthy and not self.ejected

    def __repr__(self) -> str:
        return f"Backend({self.name}, weight={self.weight}, in_flight={self.in_flight})"


class Pool:
    """The backends of one balancer.

    Attributes
    ----------
    members: all backends that are neither off nor draining, in order. Hash policies map keys onto these.
    available: the members that may be picked now: healthy, not ejected; when fewer than a share ``panic`` of
        the members are fit, health is ignored and all are (Envoy's panic mode).
    random: the balancer's stream of random numbers. now: its monotonic clock, in seconds.
    state: whatever the policy's ``start`` returned.
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
        """Make these the members, in order of their index."""
        self.members = sorted(members, key=lambda backend: backend.index)
        self.refresh()

    def refresh(self) -> None:
        """Decide again which backends are available."""
        fit = [backend for backend in self.members if backend.fit]
        self.panicking = len(fit) < self.panic * len(self.members)
        self.available = list(self.members) if self.panicking else fit


def least(candidates: list[Backend], cost: Callable[[Backend], float], random: RandomSource) -> Backend:
    """The candidate with the least cost; ties are broken at random, each equally likely."""
    costs = [cost(backend) for backend in candidates]
    lowest = min(costs)
    tied = [backend for backend, its_cost in zip(candidates, costs, strict=True) if its_cost == lowest]
    return tied[0] if len(tied) == 1 else random.choice(tied)
