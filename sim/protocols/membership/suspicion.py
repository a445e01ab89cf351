"""Rules of suspicion: they judge one peer by the times at which its heartbeats arrive.

- `FixedTimeout`: suspects after a fixed time.
- `ExpectedArrival`: suspects a margin after the estimated arrival of the next heartbeat: NFD-E of Chen, Toueg,
  Aguilera, "On the Quality of Service of Failure Detectors", IEEE Trans. Computers 51(5), 2002, section 6.
- `PhiAccrual`: suspects when a silence of this length is improbable: Hayashibara, Defago, Yared, Katayama, "The phi
  Accrual Failure Detector", SRDS 2004. phi = -log10(P(a heartbeat comes even later)); inter-arrival times are assumed
  to be normal, with the mean and the standard deviation of a window of observed ones. Departures: the window begins
  with two artificial intervals (mean: the heartbeat interval, deviation: a quarter of it), as in Akka. The deviation
  has a minimum; without it, any delay would be suspicious in a network without jitter. A pause may be added to the
  mean, as in Akka.

A rule is a frozen value; ``rule.watch(...)`` makes the `Watch` of one peer. Times: seconds on the observer's monotonic
clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import erfc, log, log10, pi, sqrt
from statistics import NormalDist
from typing import Annotated

from sim.settings import Bounds, Seconds, Several, Value, Wait

__all__ = ["PUNCTUAL", "ExpectedArrival", "FixedTimeout", "PhiAccrual", "Rule", "Watch", "phi_of", "z_of"]

PUNCTUAL = 0.001
"""Seconds: a timer that fires later than this shows that its node was paused."""

_LARGEST_PHI = 300.0  # 10**-300 is still a normal double


def phi_of(z: float) -> float:
    """-log10 of the probability that a standard normal variable exceeds ``z``; accurate also for large ``z``."""
    if z < 30.0:
        return -log10(0.5 * erfc(z / sqrt(2.0)))
    # erfc underflows at 38; for z >= 30 its asymptotic series (Abramowitz & Stegun 7.1.23) has an error below 1e-9.
    series = 1.0 - 1.0 / z**2 + 3.0 / z**4 - 15.0 / z**6
    return (z * z / 2.0 + log(z * sqrt(2.0 * pi)) - log(series)) / log(10.0)


def z_of(phi: float) -> float:
    """The inverse of `phi_of`, for 0 < phi <= 300."""
    return -NormalDist().inv_cdf(10.0**-phi)


class Watch:
    """The state of one observer about one peer.

    Attributes: ``last``: the time of its last heartbeat (or the start of the watch). ``timeout``: the silence (seconds)
    after ``last`` that makes it suspect. ``threshold``: the `level` that is reached at that time.
    """

    threshold: float = 1.0

    def __init__(self, now: float, timeout: float) -> None:
        self.last = now
        self.timeout = timeout

    @property
    def deadline(self) -> float:
        """The time at which the peer becomes suspect, if no heartbeat arrives."""
        return self.last + self.timeout

    def level(self, now: float) -> float:
        """The level of suspicion; it does not fall between two heartbeats."""
        return max(0.0, now - self.last) / self.timeout

    def heard(self, now: float, number: int) -> None:
        """Heartbeat ``number`` has arrived. Numbers increase by one; the caller leaves out older heartbeats."""
        self.last = now

    def excuse(self, now: float) -> None:
        """The observer was paused: the silence so far does not count."""
        self.last = now


@dataclass(frozen=True, slots=True)
class Rule(Value):
    """Base of all rules."""

    def watch(self, now: float, heartbeat: float, detection: float) -> Watch:
        """Begin to watch a peer that sends every ``heartbeat`` seconds; ``detection``: the default timeout."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Its name in charts."""
        return repr(self)


@dataclass(frozen=True, slots=True)
class FixedTimeout(Rule):
    """Suspect after ``timeout`` seconds of silence; None: the detection timeout of the system."""

    timeout: Seconds | None = None

    def watch(self, now: float, heartbeat: float, detection: float) -> Watch:
        if self.timeout is not None and self.timeout <= heartbeat:
            raise ValueError(
                f"FixedTimeout: timeout ({self.timeout} s) must be longer than the heartbeat ({heartbeat} s)"
            )
        return Watch(now, self.timeout or detection)

    @property
    def label(self) -> str:
        return "timeout" if self.timeout is None else f"timeout {self.timeout:g} s"


@dataclass(frozen=True, slots=True)
class ExpectedArrival(Rule):
    """Suspect ``margin`` seconds (Chen's alpha) after the expected arrival of the next heartbeat.

    ``window``: the number of heartbeats for the estimate. ``margin=None``: detection takes as long as with the system's
    timeout.
    """

    margin: Seconds | None = None
    window: Several = 100

    def watch(self, now: float, heartbeat: float, detection: float) -> Watch:
        margin = detection - heartbeat if self.margin is None else self.margin
        return _ArrivalWatch(now, heartbeat, margin, self.window)

    @property
    def label(self) -> str:
        return "expected arrival" + ("" if self.margin is None else f" + {self.margin:g} s")


class _ArrivalWatch(Watch):
    """EA(l+1) = mean of (A(i) - eta * s(i)) + (l+1) * eta, over the last heartbeats i.

    In the paper, senders keep one schedule forever. Here a heartbeat that deviates by more than the margin (because the
    rate of a clock has changed) begins a new schedule.
    """

    def __init__(self, now: float, eta: float, margin: float, window: int) -> None:
        super().__init__(now, eta + margin)
        self.eta, self.margin = eta, margin
        self.origin = now  # sums are kept of differences from it, so that they lose no digits
        self.shifts: deque[float] = deque(maxlen=window)
        self.total = 0.0

    def heard(self, now: float, number: int) -> None:
        shift = now - self.origin - self.eta * number
        if self.shifts and abs(shift - self.total / len(self.shifts)) > self.margin:
            self.shifts.clear()
            self.total = 0.0
        if len(self.shifts) == self.shifts.maxlen:
            self.total -= self.shifts[0]
        self.shifts.append(shift)
        self.total += shift
        expected = self.origin + self.total / len(self.shifts) + self.eta * (number + 1)
        self.last = now
        self.timeout = max(expected + self.margin - now, 1e-9)


@dataclass(frozen=True, slots=True)
class PhiAccrual(Rule):
    """Suspect when phi reaches ``threshold``.

    Parameters
    ----------
    threshold:
        phi (> 0, at most 300): with 1, one suspicion in ten is wrong; with 8, one in 10**8.
    window:
        The number of remembered inter-arrival times (>= 2).
    min_std:
        The minimum of the standard deviation in seconds; None: a tenth of the heartbeat interval.
    pause:
        Seconds that are added to the mean: a silence of this length beyond it is expected (Akka's acceptable heartbeat
        pause).
    """

    threshold: Annotated[
        float, Bounds(f"above 0 and at most {_LARGEST_PHI:g}", above=0, most=_LARGEST_PHI)
    ] = 8.0
    window: Several = 1000
    min_std: Seconds | None = None
    pause: Wait = 0.0

    def watch(self, now: float, heartbeat: float, detection: float) -> Watch:
        least = heartbeat / 10 if self.min_std is None else self.min_std
        return _PhiWatch(now, heartbeat, self, least)

    @property
    def label(self) -> str:
        return f"phi {self.threshold:g}" + (f" + {self.pause:g} s" if self.pause else "")


class _PhiWatch(Watch):
    """Mean and deviation of a window of inter-arrival times."""

    def __init__(self, now: float, heartbeat: float, rule: PhiAccrual, min_std: float) -> None:
        self.threshold = rule.threshold
        self.z = z_of(rule.threshold)
        self.pause = rule.pause
        self.min_std = min_std
        self.origin = heartbeat  # sums are kept of differences from it, so that they lose no digits
        self.sample: deque[float] = deque(maxlen=rule.window)
        self.total = self.squares = 0.0
        self.mean = self.std = 0.0
        self.fresh = True  # the next arrival does not end an interval
        for interval in (0.75 * heartbeat, 1.25 * heartbeat):
            self._learn(interval)
        super().__init__(now, self._estimate())

    def _learn(self, interval: float) -> None:
        if len(self.sample) == self.sample.maxlen:
            old = self.sample[0]
            self.total -= old
            self.squares -= old * old
        difference = interval - self.origin
        self.sample.append(difference)
        self.total += difference
        self.squares += difference * difference

    def _estimate(self) -> float:
        """The silence at which phi reaches the threshold: mu + z * sigma; mu includes the pause."""
        count = len(self.sample)
        mean = self.total / count
        self.mean = self.origin + mean + self.pause
        self.std = max(sqrt(max(0.0, self.squares / count - mean * mean)), self.min_std)
        return max(self.mean + self.z * self.std, 1e-9)

    def level(self, now: float) -> float:
        return phi_of((now - self.last - self.mean) / self.std)

    def heard(self, now: float, number: int) -> None:
        if not self.fresh:
            self._learn(now - self.last)
        self.fresh = False
        self.last = now
        self.timeout = self._estimate()

    def excuse(self, now: float) -> None:
        self.fresh = True  # an interval with a pause says nothing about the network
        super().excuse(now)
