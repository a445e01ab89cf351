"""Timers that are cheap to re-arm."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from simpy.events import NORMAL

from sim.kernel.environment import Environment

__all__ = ["Timer"]


class Timer:
    """Calls ``function(argument)`` once, when its deadline passes.

    Re-arming to a later deadline (every heartbeat does this to an election timer) only writes a number: the existing
    heap entry comes up at the old time, sees the later deadline and reschedules itself for it. Only an earlier
    deadline needs a new heap entry; the old entry then does nothing when it comes up.
    Among entries of the same time, the timer's position is that of its last heap entry, not of its last arming.
    """

    __slots__ = ("_argument", "_awaited", "_deadline", "_environment", "_function")

    def __init__(
        self, environment: Environment, function: Callable[[Any], object], argument: Any = None
    ) -> None:
        self._environment = environment
        self._function = function
        self._argument = argument
        self._deadline: float | None = None
        self._awaited: float | None = None  # time of the heap entry that will wake this timer

    @property
    def deadline(self) -> float | None:
        """The simulated time (seconds) at which the timer will fire; None when it is not armed."""
        return self._deadline

    def arm_at(self, deadline: float) -> None:
        """(Re-)arm the timer to fire at ``deadline`` (simulated seconds).

        Raises ValueError when the deadline is in the past or not finite; the timer then stays unchanged.
        """
        environment = self._environment
        if not environment._now <= deadline < inf:
            raise ValueError(f"cannot arm a timer for {deadline!r} s: it is {environment._now!r} s now")
        self._deadline = deadline
        if self._awaited is None or deadline < self._awaited:
            self._awaited = deadline
            # CPython is slower to call them as attributes
            push, serial = environment.push, environment.serial
            push((deadline, NORMAL, serial(), wake, self))

    def cancel(self) -> None:
        """Disarm the timer; harmless when it is not armed."""
        self._deadline = None


def wake(timer: Timer) -> None:
    """Process a heap entry of this timer: fire, reschedule for a later deadline, or do nothing."""
    time = timer._environment._now
    if time != timer._awaited:
        return  # outdated: an entry with an earlier deadline has replaced this one
    timer._awaited = None
    deadline = timer._deadline
    if deadline is None:
        return
    if deadline > time:
        timer.arm_at(deadline)
        return
    timer._deadline = None
    timer._function(timer._argument)
