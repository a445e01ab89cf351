"""The two clocks of a node: the wall clock shows the time of day, the monotonic clock measures durations.

Both run on one oscillator, so both drift at the same rate. The wall clock may be wrong: it can be set forwards or back,
as NTP and administrators do. The monotonic clock cannot be set, and it continues while the process is paused. It begins
at a random value in each incarnation, so its readings have no meaning for other nodes, on a disk, or after a restart.
"""

from __future__ import annotations

from typing import Protocol

from sim.cluster.profile import Clock
from sim.kernel import Stream

__all__ = ["NodeClocks"]

SPREAD = 500.0
"""Monotonic clocks begin between ``-SPREAD`` and ``SPREAD`` seconds: 0 is past on some nodes and future on others."""


class _Time(Protocol):
    _now: float


class NodeClocks:
    """The wall clock and the monotonic clock of one node.

    Parameters
    ----------
    time:
        An object whose ``_now`` is the simulated time in seconds (the environment).
    clock:
        The offset of the wall clock and the drift of both clocks at the beginning.
    stream:
        The random stream from which the first value of the monotonic clock is drawn in each incarnation.
    """

    __slots__ = ("_ahead", "_begun", "_stream", "_time", "rate")

    def __init__(self, time: _Time, clock: Clock, stream: Stream) -> None:
        self._time = time
        self._stream = stream
        self.rate = 1.0 + clock.drift
        """By how many seconds both clocks advance in one second of simulated time."""
        self._ahead = (
            clock.offset
        )  # reading of the wall clock at simulated time 0, as if the rate had always been the present one
        self._begun = 0.0  # the same for the monotonic clock

    def begin(self) -> None:
        """A new incarnation: its monotonic clock begins at a random value."""
        self._begun = self._stream.uniform(-SPREAD, SPREAD) - self.rate * self._time._now

    def wall(self) -> float:
        """The time of day in seconds that the wall clock shows."""
        return self._ahead + self.rate * self._time._now

    def monotonic(self) -> float:
        """The reading of the monotonic clock in seconds; its zero is arbitrary in each incarnation."""
        return self._begun + self.rate * self._time._now

    def set(self, *, offset: float | None = None, drift: float | None = None) -> float:
        """Set the wall clock to ``offset`` seconds ahead of simulated time, and the drift of both clocks from now on.

        None leaves a value unchanged. Returns the factor for the remaining simulated time of a running timer: the old
        rate divided by the new rate.
        """
        now = self._time._now
        wall = self.wall() if offset is None else now + offset
        monotonic, before = self.monotonic(), self.rate
        if drift is not None:
            self.rate = 1.0 + drift
            self._begun = monotonic - self.rate * now
        self._ahead = wall - self.rate * now
        return before / self.rate
