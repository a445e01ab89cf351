"""Resilience: small values that protect requests against failures, and servers against overload. Combine them freely.

``Balanced(resilience=(Timeout(attempt=0.1), Retries(most=2, budget=RetryBudget(0.1)), CircuitBreaker()))``:
each kind at most once, in any order. For their interaction see `sim.protocols.balancing.resilient`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import inf
from typing import Any, ClassVar, Literal

from sim.settings import Value

__all__ = [
    "CircuitBreaker",
    "ConnectionLimit",
    "Guards",
    "HealthChecks",
    "Hedge",
    "OutlierEjection",
    "RateLimit",
    "Resilience",
    "Retries",
    "RetryBudget",
    "SlowStart",
    "Tied",
    "Timeout",
]

Reason = Literal["rejected", "error", "timeout"]


def _check(owner: object, condition: bool, name: str, rule: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{type(owner).__name__}: {name} must be {rule}, not {value!r}")


def _whole(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


class Resilience(Value):
    """Base of all resilience values."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Timeout(Resilience):
    """Limits the time to wait for an answer.

    Parameters
    ----------
    attempt:
        Seconds to wait for one attempt; None: no limit.
    total:
        Seconds for the request with all its attempts. If the client's own timeout is shorter, that one applies.
    carried:
        Send the timeout to the server, and cancel requests that were given up, so that the server does no useless work.
    """

    attempt: float | None = None
    total: float | None = None
    carried: bool = True

    def __post_init__(self) -> None:
        for name in ("attempt", "total"):
            value = getattr(self, name)
            _check(self, value is None or 0 < value < inf, name, "positive seconds", value)
        if self.attempt is not None and self.total is not None and self.attempt > self.total:
            raise ValueError(
                f"Timeout: an attempt of {self.attempt!r} s is longer than the total of {self.total!r} s"
            )


@dataclass(frozen=True, slots=True)
class RetryBudget(Resilience):
    """Limits retries to a fraction ``ratio`` of the requests, plus a saved-up number of at most ``burst``.

    Each request adds ``ratio`` tokens to a bucket of size ``burst`` (full at first); each retry takes one token
    (Finagle's RetryBudget; Google's SRE book, chapter 21).
    """

    ratio: float = 0.1
    burst: float = 10.0

    def __post_init__(self) -> None:
        _check(self, 0 <= self.ratio < inf, "ratio", "at least 0", self.ratio)
        _check(self, 1 <= self.burst < inf, "burst", "at least 1", self.burst)


@dataclass(frozen=True, slots=True)
class Retries(Resilience):
    """Retries a failed attempt, at another backend if possible.

    Parameters
    ----------
    most:
        The largest number of attempts after the first.
    backoff, backoff_max:
        The wait before retry k (from 1) is at most min(backoff * 2**(k-1), backoff_max) seconds.
    jitter:
        True: wait a random part of that time (Brooker, "Exponential Backoff and Jitter", AWS 2015: full jitter).
        False: wait the whole time.
    on:
        The failures that are retried: ``"rejected"``, ``"error"``, ``"timeout"``.
    budget:
        A `RetryBudget`; None: no limit.
    """

    most: int = 2
    backoff: float = 0.010
    backoff_max: float = 1.0
    jitter: bool = True
    on: tuple[Reason, ...] = ("rejected", "error", "timeout")
    budget: RetryBudget | None = None

    def __post_init__(self) -> None:
        _check(self, _whole(self.most), "most", "an integer of at least 1", self.most)
        _check(self, 0 <= self.backoff < inf, "backoff", "at least 0 seconds", self.backoff)
        _check(
            self,
            self.backoff <= self.backoff_max,
            "backoff_max",
            f"at least {self.backoff}",
            self.backoff_max,
        )
        known = ("rejected", "error", "timeout")
        _check(self, bool(self.on) and all(r in known for r in self.on), "on", f"among {known}", self.on)


@dataclass(frozen=True, slots=True)
class Hedge(Resilience):
    """Sends a second copy to another backend if the first has not been answered for some time; the first answer counts.

    Parameters
    ----------
    after:
        Seconds until a copy is sent; None: the ``quantile`` of the latencies so far (no hedge before 100 latencies).
    quantile:
        Used if ``after`` is None.
    most:
        The largest number of copies after the first; each is sent after the same time again.
    cancel:
        Cancel the other copies when one is answered.

    Source: Dean, Barroso, "The Tail at Scale", CACM 56(2), 2013.
    """

    after: float | None = None
    quantile: float = 0.95
    most: int = 1
    cancel: bool = True

    def __post_init__(self) -> None:
        ok = self.after is None or 0 <= self.after < inf
        _check(self, ok, "after", "at least 0 seconds", self.after)
        _check(self, 0 < self.quantile < 1, "quantile", "in (0, 1)", self.quantile)
        _check(self, _whole(self.most), "most", "an integer of at least 1", self.most)


@dataclass(frozen=True, slots=True)
class Tied(Resilience):
    """Queues every request at two servers; the server that begins it cancels the copy in the other's queue.

    Servers need ``workers``, because only then do they know when a request begins. Source: "The Tail at Scale".
    """


@dataclass(frozen=True, slots=True)
class CircuitBreaker(Resilience):
    """Sends a backend no requests for some time after several failures in a row; then a few trial requests.

    Closed -> (``failures`` in a row) -> open -> (``open_for`` seconds) -> half-open: at most ``trials`` requests in
    flight; one failure opens it again, ``successes`` in a row close it. ``reroute``: send requests to other backends
    while it is open. Otherwise the requests that the policy would send there are refused, so that the other backends
    get no more than their share. Source: Nygard, "Release It!", 2007, section 5.2.
    """

    failures: int = 5
    open_for: float = 5.0
    trials: int = 1
    successes: int = 1
    reroute: bool = True

    def __post_init__(self) -> None:
        for name in ("failures", "trials", "successes"):
            value = getattr(self, name)
            _check(self, _whole(value), name, "an integer of at least 1", value)
        _check(self, 0 < self.open_for < inf, "open_for", "positive seconds", self.open_for)


@dataclass(frozen=True, slots=True)
class HealthChecks(Resilience):
    """Checks the health of every server every ``interval`` seconds.

    A server is unhealthy after ``fall`` checks in a row without an answer within ``timeout`` seconds, and healthy again
    after ``rise`` answered checks in a row. If less than a fraction ``panic`` of the servers is fit, health is ignored:
    then it is more likely that the checks are wrong than that most servers are down (Envoy's panic threshold).
    """

    interval: float = 1.0
    timeout: float = 0.5
    fall: int = 3
    rise: int = 2
    panic: float = 0.5

    def __post_init__(self) -> None:
        for name in ("interval", "timeout"):
            value = getattr(self, name)
            _check(self, 0 < value < inf, name, "positive seconds", value)
        if self.timeout > self.interval:
            raise ValueError(
                f"HealthChecks: a timeout of {self.timeout!r} s is longer than the interval of {self.interval!r} s"
            )
        for name in ("fall", "rise"):
            value = getattr(self, name)
            _check(self, _whole(value), name, "an integer of at least 1", value)
        _check(self, 0 <= self.panic <= 1, "panic", "in [0, 1]", self.panic)


@dataclass(frozen=True, slots=True)
class OutlierEjection(Resilience):
    """Passive health: excludes a backend for some time after ``errors`` failures in a row.

    The k-th ejection lasts k times ``duration`` seconds. At most a fraction ``cap`` of the members is ejected at the
    same time (but always at least one may be). Source: Envoy, outlier detection.
    """

    errors: int = 5
    duration: float = 10.0
    cap: float = 0.5

    def __post_init__(self) -> None:
        _check(self, _whole(self.errors), "errors", "an integer of at least 1", self.errors)
        _check(self, 0 < self.duration < inf, "duration", "positive seconds", self.duration)
        _check(self, 0 <= self.cap <= 1, "cap", "in [0, 1]", self.cap)


@dataclass(frozen=True, slots=True)
class RateLimit(Resilience):
    """A token bucket at each balancer: ``rate`` requests per second, and at most ``burst`` at once."""

    rate: float
    burst: float = 1.0

    def __post_init__(self) -> None:
        _check(self, 0 < self.rate < inf, "rate", "positive requests per second", self.rate)
        _check(self, 1 <= self.burst < inf, "burst", "at least 1", self.burst)


@dataclass(frozen=True, slots=True)
class ConnectionLimit(Resilience):
    """At most ``most`` requests in flight from a balancer to each server; ``waiting`` others wait at the balancer."""

    most: int
    waiting: int = 0

    def __post_init__(self) -> None:
        _check(self, _whole(self.most), "most", "an integer of at least 1", self.most)
        _check(self, _whole(self.waiting, 0), "waiting", "an integer of at least 0", self.waiting)


@dataclass(frozen=True, slots=True)
class SlowStart(Resilience):
    """The share of a server that joins grows from zero to the full share within ``seconds``, under any policy."""

    seconds: float

    def __post_init__(self) -> None:
        _check(self, 0 < self.seconds < inf, "seconds", "positive seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class Guards:
    """The resilience values by kind; None: no value of that kind."""

    timeout: Timeout = Timeout()
    retries: Retries | None = None
    hedge: Hedge | None = None
    tied: Tied | None = None
    breaker: CircuitBreaker | None = None
    checks: HealthChecks | None = None
    ejection: OutlierEjection | None = None
    rate: RateLimit | None = None
    connections: ConnectionLimit | None = None
    slow_start: SlowStart | None = None

    _kinds: ClassVar[dict[type, str]] = {
        Timeout: "timeout",
        Retries: "retries",
        Hedge: "hedge",
        Tied: "tied",
        CircuitBreaker: "breaker",
        HealthChecks: "checks",
        OutlierEjection: "ejection",
        RateLimit: "rate",
        ConnectionLimit: "connections",
        SlowStart: "slow_start",
    }

    @classmethod
    def of(cls, values: Iterable[Any]) -> Guards:
        """Sort values by kind. Raises ValueError for another object, two values of a kind, and invalid combinations."""
        found: dict[str, Any] = {}
        for value in values:
            kind = cls._kinds.get(type(value))
            if kind is None:
                raise ValueError(f"{value!r} is not a resilience policy of its own (see resilience.py)")
            if kind in found:
                raise ValueError(f"there are two of a kind: {found[kind]!r} and {value!r}")
            found[kind] = value
        made = cls(**found)
        made._go_together()
        return made

    def _go_together(self) -> None:
        hedge, timeout = self.hedge, self.timeout
        if hedge is not None and self.tied is not None:
            raise ValueError(f"{hedge!r} and {self.tied!r}: a request is hedged or tied, not both")
        if hedge is not None and hedge.after is not None:
            for name in ("attempt", "total"):
                limit = getattr(timeout, name)
                if limit is not None and hedge.after >= limit:
                    raise ValueError(
                        f"a hedge after {hedge.after!r} s comes too late: the {name} is over at {limit!r} s"
                    )

    @property
    def any(self) -> bool:
        """Whether at least one value differs from its default."""
        return any(getattr(self, f.name) != f.default for f in fields(self))
