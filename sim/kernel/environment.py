"""Simulated time: a `simpy.Environment` with a light path beside it.

Everything that SimPy 4.1 can do works here unchanged: processes, resources, conditions, interrupts,
`run(until=...)`, failing events, subclasses and wrappers of `step` (SimPy's own test-suite says so:
``validation/simpy_suite.py``). Beside it, `call_at` and `call_after` schedule a *plain call*: one heap
entry ``(time, priority, serial, function, argument)`` and no `Event` object, no callback list, no process.
Messages, timers and CPU completions of a simulation travel on that path; stories (clients, faults) are
SimPy processes.

Both kinds of entries share one heap and one serial counter, so they interleave in one total order:
by time, then priority, then the order in which they were scheduled.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import repeat
from math import inf, nextafter
from typing import TYPE_CHECKING, Any

import simpy
from simpy.core import BoundClass, EmptySchedule, StopSimulation
from simpy.events import URGENT, Event

from sim.engine import COMPILED
from sim.kernel.endings import AT_ONCE, Crowds, stop

if TYPE_CHECKING or not COMPILED:
    from sim.kernel.event_list import EventList
else:
    from sim.kernel._event_list import EventList

__all__ = ["Environment", "delay_until"]

_OBJECTS = 10_000  # new objects between two looks of the garbage collector


def delay_until(now: float, then: float) -> float:
    """The delay (seconds) that added to ``now`` gives exactly ``then``, if there is one; at least 0."""
    delay = then - now
    if now + delay != then:
        nearby = (nextafter(delay, -inf), nextafter(delay, inf))
        delay = next((one for one in nearby if now + one == then), delay)
    return max(0.0, delay)


class Environment(EventList, simpy.Environment):
    """A drop-in `simpy.Environment` (SimPy 4.1) that can also schedule plain calls.

    Parameters
    ----------
    initial_time:
        Simulated time at the start, in seconds. As in SimPy, times keep the type they are given in.
    """

    def __init__(self, initial_time: float = 0) -> None:
        self._open(initial_time)  # not SimPy's constructor: it would make a list of its own
        self._active_proc = None
        # Bind `self.timeout` and similar methods once: SimPy does so for its own class, not for subclasses.
        for name, value in vars(simpy.Environment).items():
            if isinstance(value, BoundClass):
                setattr(self, name, getattr(self, name))

    def run(self, until: float | Event | None = None) -> Any:
        """Run until a time (seconds), an event, or, by default, until nothing is scheduled any more.

        As in SimPy, entries at exactly the time ``until`` are not processed, and the value of an event
        given as ``until`` is returned.

        Raises ValueError when the time is not in the future, RuntimeError when the event never happens, and
        `StandstillError` when more than two million entries in a row at one simulated time keep scheduling new
        entries at that time. An exception of a callback, of a plain call, or of a process that no other process
        waits for ends the run and is raised here.
        """
        if isinstance(until, Event):
            if until.callbacks is None:
                return until.value  # already processed
            until.callbacks.append(StopSimulation.callback)
        elif until is not None:
            self._stop_at(until)
        thresholds = _collect_seldom()
        try:
            if self.step == EventList.step.__get__(self):  # `vars(self)` would make all its attributes slower
                self._run(Crowds())
            else:
                self._run_by_steps(Crowds())
        except StopSimulation as reached:
            return reached.args[0]
        finally:
            gc.set_threshold(*thresholds)
        if isinstance(until, Event):
            raise RuntimeError(f'No scheduled events left but "until" event was not triggered: {until}')
        return None

    def _stop_at(self, until: float) -> None:
        """End the run at a time (seconds), before all other entries of that time that are not URGENT, too."""
        at = until if isinstance(until, int) else float(until)
        if not at > self._now:
            raise ValueError(f"until ({at}) must be greater than the current simulation time ({self._now})")
        self.push((at, URGENT, self.serial(), stop, None))

    def _run_by_steps(self, crowds: Crowds) -> None:
        """The loop for environments that override or wrap `step` (real time, tracing)."""
        try:
            while True:
                for _ in repeat(None, crowds.size):
                    serial = self._queue[0][2] if self._queue else 0
                    self.step()
                crowds.refuse_standstill(self._now, serial, self.scheduled)
        except EmptySchedule:
            return

    def _put_back(
        self, event: Event, callbacks: list[Callable[[Event], None]], stopped_in: Callable[[Event], None]
    ) -> None:
        """Schedule the callbacks of an event that a stop skipped; they run when the simulation continues."""
        event.callbacks = callbacks[callbacks.index(stopped_in) + 1 :]
        self.schedule(event, AT_ONCE)


def _collect_seldom() -> tuple[int, int, int]:
    """Let the garbage collector look less often, as a run makes many objects that live on; its settings before.

    After 700 new objects, as is usual, a checked run spends a twentieth of its time so.
    """
    before = gc.get_threshold()
    if before[0]:  # 0: it is switched off
        gc.set_threshold(max(_OBJECTS, before[0]), *before[1:])
    return before
