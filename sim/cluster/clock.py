"""The two clocks of a node: one tells the time, and may be wrong; the other only measures how much time has passed.

Both run on one oscillator, so both gain or lose by the same rate. The wall clock can be set, forwards or back, as NTP
and administrators do. The monotonic clock can't: it goes on while the process stands still, and begins somewhere
in each incarnation, so that its readings mean nothing to other nodes, on a disk, or after a restart.
"""

from __future__ import annotations

from typing import Protocol

from sim.cluster.profile import Clock
from sim.kernel import Stream

__all__ = ["NodeClocks"]

SPREAD = 500.0
"""Monotonic clocks begin between ``-SPREAD`` and ``SPREAD`` seconds, so 0 is the past of some, the future of others."""


class _Time(Protocol):
    _now: float


class NodeClocks:
    """The wall clock and the monotonic clock of one node.

    Parameters
    ----------
    time:
        What knows the simulated time.
    clock:
        How wrong they are at first.
    stream:
        Where the beginnings of the monotonic clock are drawn from.
    """

    __slots__ = ("_ahead", "_begun", "_stream", "_time", "rate")

    def __init__(self, time: _Time, clock: Clock, stream: Stream) -> None:
        self._time = time
        self._stream = stream
        self.rate = 1.0 + clock.drift
        """Seconds that both clocks show in one second of simulated time."""
        self._ahead = (
            clock.offset
        )  # what the wall clock shows at simulated time 0, were the rate always this one
        self._begun = 0.0  # the same of the monotonic clock

    def begin(self) -> None:
        """A new incarnation: its monotonic clock begins at a random value."""
        self._begun = self._stream.uniform(-SPREAD, SPREAD) - self.rate * self._time._now

    def wall(self) -> float:
        """The time of day in seconds, as far as this node knows."""
        return self._ahead + self.rate * self._time._now

    def monotonic(self) -> float:
        """Seconds since some moment of this incarnation that nobody knows."""
        return self._begun + self.rate * self._time._now

    def set(self, *, offset: float | None = None, drift: float | None = None) -> float:
        """Let the wall clock jump to ``offset`` seconds ahead of simulated time, and both drift from now on.

        Returns by what factor the rest of a running timer grows: the old rate over the new one.
        """
        now = self._time._now
        wall = self.wall() if offset is None else now + offset
        monotonic, before = self.monotonic(), self.rate
        if drift is not None:
            self.rate = 1.0 + drift
            self._begun = monotonic - self.rate * now
        self._ahead = wall - self.rate * now
        return before / self.rate
