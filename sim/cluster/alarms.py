"""Alarms: they end sleeps and enforce the timeouts of calls, on the monotonic clock of a node. A crash cancels them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from sim.cluster.clock import NodeClocks
from sim.kernel import Environment, Timer

__all__ = ["Alarms", "stretch"]


class Alarms:
    """The alarms of one node."""

    def __init__(self, env: Environment, clocks: NodeClocks) -> None:
        self._env = env
        self._clocks = clocks
        self._set: dict[int, Timer] = {}
        self._last = 0

    def set(self, delay: float, function: Callable[[Any], Any], argument: Any = None) -> None:
        """Call ``function(argument)`` once, after ``delay`` seconds. Raises ValueError unless 0 <= delay < infinity."""
        if not 0 <= delay < inf:
            raise ValueError(f"cannot wait for {delay!r} s: a time is finite and at least 0")
        self._last += 1
        timer = Timer(self._env, self._ring, (self._last, function, argument))
        timer.arm_at(self._env._now + delay / self._clocks.rate)
        self._set[self._last] = timer

    def _ring(self, alarm: tuple[int, Callable[[Any], Any], Any]) -> None:
        number, function, argument = alarm
        del self._set[number]
        function(argument)

    def stretch(self, factor: float) -> None:
        """The clock's rate has changed: multiply the remaining time of each alarm by ``factor``."""
        stretch(self._set.values(), self._env._now, factor)

    def clear(self) -> None:
        """Cancel all alarms."""
        for timer in self._set.values():
            timer.cancel()
        self._set.clear()


def stretch(timers: Iterable[Timer], now: float, factor: float) -> None:
    """Multiply the remaining time of each running timer by ``factor``. ``now``: simulated seconds."""
    for timer in timers:
        if timer.deadline is not None:
            timer.arm_at(now + factor * (timer.deadline - now))
