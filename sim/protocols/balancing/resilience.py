"""Resilience: small values that protect requests against failures, and servers against overload. Combine them freely.

``Balanced(resilience=(Timeout(attempt=0.1), Retries(most=2, budget=RetryBudget(0.1)), CircuitBreaker()))``:
each kind at most once, in any order. For their interaction see `sim.protocols.balancing.resilient`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from sim.settings import Bounds, Count, NotNegative, Seconds, Share, Value, Wait, Whole

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

    attempt: Seconds | None = None
    total: Seconds | None = None
    carried: bool = True

    def __post_init__(self) -> None:
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

    ratio: NotNegative = 0.1
    burst: Annotated[float, Bounds("at least 1", least=1)] = 10.0


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

    most: Count = 2
    backoff: Wait = 0.010
    backoff_max: float = 1.0
    jitter: bool = True
    on: tuple[Reason, ...] = ("rejected", "error", "timeout")
    budget: RetryBudget | None = None

    def __post_init__(self) -> None:
        if self.backoff > self.backoff_max:
            raise ValueError(
                f"Retries: backoff_max must be at least {self.backoff}, not {self.backoff_max!r}"
            )
        if not self.on:
            raise ValueError(f"Retries: on must name a failure, not {self.on!r}")


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

    after: Wait | None = None
    quantile: Annotated[float, Bounds("in (0, 1)", above=0, below=1)] = 0.95
    most: Count = 1
    cancel: bool = True


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

    failures: Count = 5
    open_for: Seconds = 5.0
    trials: Count = 1
    successes: Count = 1
    reroute: bool = True


@dataclass(frozen=True, slots=True)
class HealthChecks(Resilience):
    """Checks the health of every server every ``interval`` seconds.

    A server is unhealthy after ``fall`` checks in a row without an answer within ``timeout`` seconds, and healthy again
    after ``rise`` answered checks in a row. If less than a fraction ``panic`` of the servers is fit, health is ignored:
    then it is more likely that the checks are wrong than that most servers are down (Envoy's panic threshold).
    """

    interval: Seconds = 1.0
    timeout: Seconds = 0.5
    fall: Count = 3
    rise: Count = 2
    panic: Share = 0.5

    def __post_init__(self) -> None:
        if self.timeout > self.interval:
            raise ValueError(
                f"HealthChecks: a timeout of {self.timeout!r} s is longer than the interval of {self.interval!r} s"
            )


@dataclass(frozen=True, slots=True)
class OutlierEjection(Resilience):
    """Passive health: excludes a backend for some time after ``errors`` failures in a row.

    The k-th ejection lasts k times ``duration`` seconds. At most a fraction ``cap`` of the members is ejected at the
    same time (but always at least one may be). Source: Envoy, outlier detection.
    """

    errors: Count = 5
    duration: Seconds = 10.0
    cap: Share = 0.5


@dataclass(frozen=True, slots=True)
class RateLimit(Resilience):
    """A token bucket at each balancer: ``rate`` requests per second, and at most ``burst`` at once."""

    rate: Annotated[float, Bounds("positive requests per second", above=0)]
    burst: Annotated[float, Bounds("at least 1", least=1)] = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimit(Resilience):
    """At most ``most`` requests in flight from a balancer to each server; ``waiting`` others wait at the balancer."""

    most: Count
    waiting: Whole = 0


@dataclass(frozen=True, slots=True)
class SlowStart(Resilience):
    """The share of a server that joins grows from zero to the full share within ``seconds``, under any policy."""

    seconds: Seconds


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
