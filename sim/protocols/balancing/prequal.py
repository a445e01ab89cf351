"""Prequal: probes are sent beside the requests; the choice depends first on requests in flight, then on latency.

Wydrowski, Kleinberg, Rumble, Archer: "Load is not what you should balance: Introducing Prequal", NSDI 2024.
Departures: probes are sent only together with requests (not while idle), and the threshold between hot and cold comes
from the last 128 probe responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sim.protocols.balancing.guards import Window
from sim.protocols.balancing.load import distinct
from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend, Pool
from sim.settings import NotNegative, Positive, Seconds, Several, Share

__all__ = ["Prequal"]

_RECENT = 128


class _Response:
    """A probe response in the pool; ``uses``: the number of remaining uses."""

    __slots__ = ("at", "backend", "latency", "requests", "uses")

    def __init__(self, backend: Backend, requests: int, latency: float, at: float, uses: float) -> None:
        self.backend = backend
        self.requests = requests
        self.latency = latency
        self.at = at
        self.uses = uses


class _State:
    """The pool of responses, oldest first, and its counters."""

    def __init__(self) -> None:
        self.responses: list[_Response] = []
        self.recent = Window(_RECENT)  # numbers of requests in the servers, from their responses
        self.probe_credit = 0.0
        self.remove_credit = 0.0
        self.remove_worst = False
        self.threshold = float("inf")


@dataclass(frozen=True, slots=True)
class Prequal(Policy):
    """Hot-cold lexicographic choice from a pool of recent probe responses.

    Parameters
    ----------
    probes_per_request, removals_per_request:
        r_probe and r_remove of the paper (section 4.2); may be fractions.
    pool:
        The largest number of responses kept.
    age:
        Seconds after which a response is removed.
    hot_quantile:
        Q_RIF: a server is hot if its requests in flight exceed this quantile of the numbers that servers report.
    delta:
        Responses are reused so often that the pool grows by this net rate (section 4.2, equation 1).
    """

    probes_per_request: Positive = 3.0
    removals_per_request: NotNegative = 1.0
    pool: Several = 16
    age: Seconds = 1.0
    hot_quantile: Share = 0.84
    delta: Positive = 1.0

    needs: ClassVar[str] = "reports"

    def __post_init__(self) -> None:
        if self.removals_per_request >= self.probes_per_request:
            raise ValueError(
                f"Prequal: removals_per_request must be below probes_per_request ({self.probes_per_request!r}), "
                f"not {self.removals_per_request!r}"
            )

    def start(self, pool: Pool) -> _State:
        state: _State = pool.state or _State()
        members = {backend.name for backend in pool.members}
        state.responses = [r for r in state.responses if r.backend.name in members]
        return state

    # Probing, beside the requests

    def probes_beside(self, pool: Pool) -> Sequence[Backend]:
        state: _State = pool.state
        state.probe_credit += self.probes_per_request
        count = int(state.probe_credit)
        state.probe_credit -= count
        return distinct(pool.available, count, pool.random) if count else ()

    def probed(self, pool: Pool, backend: Backend, requests: int, latency: float) -> None:
        state: _State = pool.state
        state.recent.add(requests)
        state.threshold = state.recent.quantile(self.hot_quantile)
        if len(state.responses) == self.pool:
            state.responses.pop(0)
        state.responses.append(_Response(backend, requests, latency, pool.now, self._uses(len(pool.members))))

    def _uses(self, servers: int) -> float:
        """b_reuse: the number of times that a response may be used (section 4.2, equation 1)."""
        net = (1.0 - self.pool / servers) * self.probes_per_request - self.removals_per_request
        return max(1.0, (1.0 + self.delta) / net) if net > 0 else float("inf")

    # Picking

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        state: _State = pool.state
        oldest = pool.now - self.age
        state.responses = [r for r in state.responses if r.at >= oldest]
        usable = [r for r in state.responses if r.backend in candidates]
        chosen = self._best(usable, state.threshold) if len(usable) >= 2 else None
        if chosen is not None:
            chosen.requests += 1  # count the request that is sent now
            chosen.uses -= 1
            if chosen.uses < 1:
                state.responses.remove(chosen)
        self._remove(state)
        return chosen.backend if chosen is not None else pool.random.choice(candidates)

    @staticmethod
    def _best(responses: list[_Response], threshold: float) -> _Response:
        """The cold response with the smallest latency; if all are hot, the one with the fewest requests."""
        cold = [r for r in responses if r.requests <= threshold]
        return min(cold, key=lambda r: r.latency) if cold else min(responses, key=lambda r: r.requests)

    def _remove(self, state: _State) -> None:
        """Remove, in turn, the oldest response and the worst one."""
        state.remove_credit += self.removals_per_request
        while state.remove_credit >= 1.0:
            state.remove_credit -= 1.0
            if not state.responses:
                continue
            if state.remove_worst:
                state.responses.remove(self._worst(state.responses, state.threshold))
            else:
                state.responses.pop(0)
            state.remove_worst = not state.remove_worst

    @staticmethod
    def _worst(responses: list[_Response], threshold: float) -> _Response:
        hot = [r for r in responses if r.requests > threshold]
        return max(hot, key=lambda r: r.requests) if hot else max(responses, key=lambda r: r.latency)
