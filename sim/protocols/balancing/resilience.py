"""What keeps requests alive, or keeps them from killing the servers: small values, to be combined at will.

``Balanced(resilience=(Timeout(attempt=0.1), Retries(most=2, budget=RetryBudget(0.1)), CircuitBreaker()))``:
each kind at most once, in any order. How they act together is written in `sim.protocols.balancing.resilient`.
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
    """Base of all these values."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Timeout(Resilience):
    """Give up waiting.

    Parameters
    ----------
    attempt:
        Seconds to wait for one attempt; None: no limit.
    total:
        Seconds for the request with all its attempts; the client's own timeout, where shorter, counts.
    carried:
        Tell the server how long one will wait, and cancel what one has given up, so that it does not work
        for nobody.
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
    """Retries for at most a share ``ratio`` of the requests, beyond ``burst`` of them saved up.

    Each request puts ``ratio`` tokens into a bucket of ``burst`` (full at first), each retry takes one out
    (Finagle's RetryBudget; Google's SRE book, chapter 21).
    """

    ratio: float = 0.1
    burst: float = 10.0

    def __post_init__(self) -> None:
        _check(self, 0 <= self.ratio < inf, "ratio", "at least 0", self.ratio)
        _check(self, 1 <= self.burst < inf, "burst", "at least 1", self.burst)


@dataclass(frozen=True, slots=True)
class Retries(Resilience):
    """Try again, elsewhere if possible.

    Parameters
    ----------
    most:
        Attempts beyond the first.
    backoff, backoff_max:
        Before retry k (from 1) wait up to min(backoff * 2**(k-1), backoff_max) seconds.
    jitter:
        Wait a random part of that (Brooker, "Exponential Backoff and Jitter", AWS 2015: full jitter), or all.
    on:
        What is retried: ``"rejected"``, ``"error"``, ``"timeout"``.
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
    """Send a second copy elsewhere when the first has not been answered in a while; the first answer counts.

    Parameters
    ----------
    after:
        Seconds; None: the ``quantile`` of the latencies seen so far (no hedge before 100 of them).
    quantile:
        Used when ``after`` is None.
    most:
        Copies beyond the first; each waits as long again.
    cancel:
        Tell the losers.

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
    """Queue every request at two servers at once; the one that begins it takes it off the other's queue.

    Servers need ``workers``, since only then do they know when they begin. Source: "The Tail at Scale".
    """


@dataclass(frozen=True, slots=True)
class CircuitBreaker(Resilience):
    """Send a backend nothing for a while after so many failures in a row; then let a few requests try.

    Closed -> (``failures`` in a row) -> open -> (``open_for`` seconds) -> half-open: at most ``trials``
    requests in flight; one failure opens it again, ``successes`` in a row close it. ``reroute``: send to others
    meanwhile; else what the policy would have sent there is refused, so that the others get no more than
    their share. Source: Nygard, "Release It!", 2007, section 5.2.
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
    """Ask every server every ``interval`` seconds whether it is well.

    It is unhealthy after ``fall`` checks in a row that are not answered within ``timeout`` seconds, and healthy
    after ``rise`` answered ones. When less than a share ``panic`` of the servers is fit, health is ignored:
    rather the checks are wrong than nearly everybody dead (Envoy's panic threshold).
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
    """Passive health: throw out a backend after ``errors`` failures in a row, for a while.

    The k-th time it is out for k times ``duration`` seconds. Never more than a share ``cap`` of the members is
    out (but one may always be). Source: Envoy, outlier detection.
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
    """A token bucket at each balancer: ``rate`` requests per second, ``burst`` of them at once."""

    rate: float
    burst: float = 1.0

    def __post_init__(self) -> None:
        _check(self, 0 < self.rate < inf, "rate", "positive requests per second", self.rate)
        _check(self, 1 <= self.burst < inf, "burst", "at least 1", self.burst)


@dataclass(frozen=True, slots=True)
class ConnectionLimit(Resilience):
    """At most ``most`` requests in flight from a balancer to each server; ``waiting`` more wait at the balancer."""

    most: int
    waiting: int = 0

    def __post_init__(self) -> None:
        _check(self, _whole(self.most), "most", "an integer of at least 1", self.most)
        _check(self, _whole(self.waiting, 0), "waiting", "an integer of at least 0", self.waiting)


@dataclass(frozen=True, slots=True)
class SlowStart(Resilience):
    """A server that joins gets a share that grows from nothing to full within ``seconds``, under any policy."""

    seconds: float

    def __post_init__(self) -> None:
        _check(self, 0 < self.seconds < inf, "seconds", "positive seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class Guards:
    """The values in force, by kind; None where there is none of that kind."""

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
        """Sort them by kind. Raises ValueError for what is no such value, or does not go together."""
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
        """Whether anything at all is in force."""
        return any(getattr(self, f.name) != f.default for f in fields(self))
