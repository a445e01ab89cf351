"""Alarms: what sleeps and the deadlines of calls wait for, on the monotonic clock of a node. A crash ends them."""

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
        """Call a function once, in ``delay`` seconds; ValueError for a delay below 0, or without end."""
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
        """The clock's rate has changed: what is left of each grows by this factor."""
        stretch(self._set.values(), self._env._now, factor)

    def clear(self) -> None:
        """None of them rings any more."""
        for timer in self._set.values():
            timer.cancel()
        self._set.clear()


def stretch(timers: Iterable[Timer], now: float, factor: float) -> None:
    """Move the deadlines of timers that run: what is left of each grows by a factor."""
    for timer in timers:
        if timer.deadline is not None:
            timer.arm_at(now + factor * (timer.deadline - now))
