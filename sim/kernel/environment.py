"""Simulated time: a `simpy.Environment` with a light path beside it.

Everything that SimPy can do works here unchanged: processes, resources, conditions, interrupts,
`run(until=...)`, failing events. Beside it, `call_at` and `call_after` schedule a *plain call*: one heap
entry ``(time, priority, serial, function, argument)`` and no `Event` object, no callback list, no process.
Messages, timers and CPU completions of a simulation travel on that path; stories (clients, faults) are
SimPy processes.

Both kinds of entries share one heap and one serial counter, so they interleave in one total order:
by time, then priority, then the order in which they were scheduled.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import isnan
from typing import Any

import simpy
from simpy.core import EmptySchedule, StopSimulation
from simpy.events import NORMAL, URGENT, Event

__all__ = ["Environment"]

_EVENT_ENTRY = 4  # SimPy's heap entries have four fields, plain calls have five


class Environment(simpy.Environment):
    """A drop-in `simpy.Environment` (SimPy 4.1) that can also schedule plain calls.

    Parameters
    ----------
    initial_time:
        Simulated time at the start, in seconds.
    """

    def __init__(self, initial_time: float = 0.0) -> None:
        super().__init__(initial_time)
        self._heap: list[Any] = self._queue  # the same list, seen without SimPy's entry type

    def call_at(self, time: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Call ``function(argument)`` at simulated ``time`` (seconds).

        Raises ValueError when the time lies in the past or is not a number.
        """
        if time < self._now or isnan(time):
            raise ValueError(f"cannot call at {time!r} s: it is {self._now!r} s now")
        heappush(self._heap, (time, NORMAL, next(self._eid), function, argument))

    def call_after(self, delay: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Call ``function(argument)`` after ``delay`` seconds (>= 0, else ValueError)."""
        if delay < 0 or isnan(delay):
            raise ValueError(f"cannot call after {delay!r} s: a delay is at least 0")
        heappush(self._heap, (self._now + delay, NORMAL, next(self._eid), function, argument))

    def step(self) -> None:
        """Process the next entry. Raises `simpy.core.EmptySchedule` when there is none."""
        if not self._heap:
            raise EmptySchedule
        entry = heappop(self._heap)
        self._now = entry[0]
        if len(entry) == _EVENT_ENTRY:
            self._fire(entry[3])
        else:
            entry[3](entry[4])

    def run(self, until: float | Event | None = None) -> Any:
        """Run until a time (seconds), an event, or, by default, until nothing is scheduled any more.

        As in SimPy, entries at exactly the time ``until`` are not processed, and the value of an event
        given as ``until`` is returned.
        """
        stop = self._stop_event(until)
        if stop is not None and stop.callbacks is None:
            return stop.value  # triggered and processed before the run began
        heap = self._heap
        pop = heappop
        try:
            while heap:
                entry = pop(heap)
                self._now = entry[0]
                if len(entry) == 5:
                    entry[3](entry[4])
                else:
                    self._fire(entry[3])
        except StopSimulation as reached:
            return reached.args[0]
        if isinstance(until, Event):
            raise RuntimeError(f"No scheduled events left but {until} was not triggered")
        return None

    def _stop_event(self, until: float | Event | None) -> Event | None:
        """The event that ends a run, with the callback that ends it; None for an endless run."""
        if until is None:
            return None
        if isinstance(until, Event):
            if until.callbacks is not None:
                until.callbacks.append(StopSimulation.callback)
            return until
        at = float(until)
        if at <= self._now:
            raise ValueError(f"until ({at}) must be greater than the current simulation time ({self._now})")
        stop = Event(self)
        stop._ok = True
        stop._value = None
        stop.callbacks.append(StopSimulation.callback)
        # Urgent, so that it goes before everything else that happens at the same time.
        heappush(self._heap, (at, URGENT, next(self._eid), stop))
        return stop

    def _fire(self, event: Event) -> None:
        """Run the callbacks of a SimPy event; an unhandled failure is raised, as in SimPy."""
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        try:
            for callback in callbacks:
                callback(event)
        except StopSimulation:
            # The rest of the callbacks must still run when the simulation goes on after this stop.
            if len(callbacks) > 1:
                event.callbacks = callbacks[callbacks.index(callback) + 1 :]
                self.schedule(event, URGENT)
            raise
        if not event._ok and not event.defused:
            raise _copy_of(event._value)


def _copy_of(failure: BaseException) -> BaseException:
    """A fresh exception like ``failure`` with it as its cause, so that tracebacks don't pile up."""
    copy = type(failure)(*failure.args)
    copy.__cause__ = failure
    return copy
