"""The state of the resilience values: buckets, breakers, quantiles. The methods take the time as an argument."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import inf, sqrt

from sim.protocols.balancing.resilience import CircuitBreaker, RetryBudget

__all__ = ["Breaker", "Budget", "CodelQueue", "QueueTimeout", "TokenBucket", "Window"]


class TokenBucket:
    """A bucket of up to ``burst`` tokens, full at first; ``rate`` tokens are added per second."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.at = now

    def take(self, now: float) -> bool:
        """Take one token; False when there is none."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Budget:
    """A retry budget: at any moment there have been at most ratio * requests + burst retries."""

    def __init__(self, value: RetryBudget) -> None:
        self.value = value
        self.tokens = value.burst

    def request(self) -> None:
        """Count a request: add tokens."""
        self.tokens = min(self.value.burst, self.tokens + self.value.ratio)

    def retry(self) -> bool:
        """Whether a retry is allowed; if so, take a token."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Breaker:
    """A circuit breaker: closed, open or half-open.

    Attributes: ``state``; ``trying``: requests in flight that were let through while half-open.
    """

    def __init__(self, value: CircuitBreaker) -> None:
        self.value = value
        self.state = "closed"
        self.failures = 0
        self.successes = 0
        self.trying = 0
        self.opened_at = 0.0
        self._round = 0  # number of half-open periods, so that answers to older requests do not count

    def allows(self, now: float) -> bool:
        """Whether a request may be sent at ``now`` (seconds)."""
        if self.state == "open" and now - self.opened_at >= self.value.open_for:
            self.state = "half-open"
            self._round += 1
            self.successes = self.trying = 0
        if self.state == "half-open":
            return self.trying < self.value.trials
        return self.state == "closed"

    def sent(self) -> int:
        """A request has been sent; returns a mark for the later call of `settled`."""
        if self.state == "half-open":
            self.trying += 1
            return self._round
        return 0 if self.state == "closed" else -1

    def settled(self, mark: int, ok: bool | None, now: float) -> None:
        """The request with this mark has ended; ``ok`` None: it was cancelled, which does not count."""
        if self.state == "half-open" and mark == self._round:
            self.trying -= 1
            if ok is False:
                self._open(now)
            elif ok:
                self.successes += 1
                if self.successes >= self.value.successes:
                    self.state, self.failures = "closed", 0
        elif self.state == "closed" and ok is not None:
            self.failures = 0 if ok else self.failures + 1
            if self.failures >= self.value.failures:
                self._open(now)

    def _open(self, now: float) -> None:
        self.state, self.opened_at, self.failures = "open", now, 0


class Window:
    """The last ``size`` values (usually latencies in seconds), and their quantiles."""

    def __init__(self, size: int = 1000) -> None:
        self._recent: deque[float] = deque()
        self._ranked: list[float] = []
        self._size = size

    def add(self, value: float) -> None:
        """Add a value; the oldest is dropped if there are more than ``size``."""
        self._recent.append(value)
        insort(self._ranked, value)
        if len(self._recent) > self._size:
            del self._ranked[bisect_left(self._ranked, self._recent.popleft())]

    def __len__(self) -> int:
        return len(self._recent)

    def quantile(self, q: float) -> float:
        """The q-quantile (nearest rank) of the remembered values. Raises IndexError if there are none."""
        return self._ranked[min(len(self._ranked) - 1, int(q * len(self._ranked)))]


class CodelQueue:
    """Controlled delay: decides whether a request that leaves the queue is dropped.

    When requests have waited longer than ``target`` for a whole ``interval``, one is dropped; after the n-th drop, the
    next one follows interval / sqrt(n) later. Source: Nichols, Jacobson, "Controlling Queue Delay", ACM Queue 10(5),
    2012 (its appendix).
    """

    def __init__(self, target: float, interval: float) -> None:
        self.target = target
        self.interval = interval
        self.dropping = False
        self.count = 0
        self._above_since: float | None = None
        self._next_drop = -inf

    def drops(self, waited: float, queue_left: int, now: float) -> bool:
        """Whether to drop the request that has ``waited`` (seconds), with ``queue_left`` behind it."""
        due = self._is_late(waited, queue_left, now)
        if self.dropping:
            if not due:
                self.dropping = False
                return False
            if now < self._next_drop:
                return False
            self.count += 1
        elif due:
            self.dropping = True
            recent = now - self._next_drop < self.interval
            self.count = self.count - 2 if recent and self.count > 2 else 1
            self._next_drop = now
        else:
            return False
        self._next_drop += self.interval / sqrt(self.count)
        return True

    def _is_late(self, waited: float, queue_left: int, now: float) -> bool:
        if waited < self.target or queue_left == 0:
            self._above_since = None
            return False
        if self._above_since is None:
            self._above_since = now
        return now - self._above_since >= self.interval


class QueueTimeout:
    """Controlled delay for requests: a short timeout in the queue while the queue does not become empty.

    Source: Maurer, "Fail at Scale", ACM Queue 13(8), 2015.
    """

    def __init__(self, target: float, interval: float) -> None:
        self.target = target
        self.interval = interval
        self._last_empty = 0.0
        self._emptied = True  # whether the previous request left an empty queue

    def drops(self, waited: float, queue_left: int, now: float) -> bool:
        """Whether to drop the request that has ``waited`` (seconds), with ``queue_left`` behind it."""
        if self._emptied:
            self._last_empty = now - waited  # the queue was empty until this request arrived
        self._emptied = queue_left == 0
        overloaded = now - self._last_empty > self.interval
        return waited > (self.target if overloaded else self.interval)
