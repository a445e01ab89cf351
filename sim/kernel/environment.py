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
from heapq import heappop, heappush
from itertools import repeat
from math import inf, nan, nextafter
from typing import Any, NoReturn

import simpy
from simpy.core import BoundClass, EmptySchedule, StopSimulation
from simpy.events import NORMAL, URGENT, Event, EventPriority

__all__ = ["CROWD", "Environment", "StandstillError", "delay_until"]

CROWD = 1_000_000
"""How many entries the environment processes between two checks that simulated time advances."""

_OBJECTS = 10_000  # new objects between two looks of the garbage collector

_AT_ONCE = EventPriority(-1)  # before everything else: SimPy reschedules an interrupted event this way, too


def delay_until(now: float, then: float) -> float:
    """The delay (seconds) that added to ``now`` gives exactly ``then``, if there is one; at least 0."""
    delay = then - now
    if now + delay != then:
        nearby = (nextafter(delay, -inf), nextafter(delay, inf))
        delay = next((one for one in nearby if now + one == then), delay)
    return max(0.0, delay)


class StandstillError(ValueError):
    """Entries keep scheduling new entries at the same simulated time, so the run would never end."""


class Environment(simpy.Environment):
    """A drop-in `simpy.Environment` (SimPy 4.1) that can also schedule plain calls.

    Parameters
    ----------
    initial_time:
        Simulated time at the start, in seconds. As in SimPy, times keep the type they are given in.
    """

    def __init__(self, initial_time: float = 0) -> None:
        super().__init__(initial_time)
        # The same list as SimPy's queue, without the type of its entries: the entry of an event has four fields
        # (time, priority, serial, event), the entry of a plain call has five.
        self._heap: list[Any] = self._queue
        # Bind `self.timeout` and similar methods once: SimPy does so for its own class, not for subclasses.
        for name, value in vars(simpy.Environment).items():
            if isinstance(value, BoundClass):
                setattr(self, name, getattr(self, name))

    def call_at(self, time: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Call ``function(argument)`` at simulated ``time`` (seconds).

        Raises ValueError when the time lies in the past or is not finite.
        """
        if not self._now <= time < inf:
            raise ValueError(f"cannot call at {time!r} s: it is {self._now!r} s now")
        heappush(self._heap, (time, NORMAL, next(self._eid), function, argument))

    def call_after(self, delay: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Call ``function(argument)`` after ``delay`` seconds (>= 0 and finite, else ValueError)."""
        if not 0 <= delay < inf:
            raise ValueError(f"cannot call after {delay!r} s: a delay is finite and at least 0")
        heappush(self._heap, (self._now + delay, NORMAL, next(self._eid), function, argument))

    def step(self) -> None:
        """Process the next entry. Raises `simpy.core.EmptySchedule` when there is none."""
        try:
            entry = heappop(self._heap)
        except IndexError:
            raise EmptySchedule from None
        self._now = entry[0]
        if len(entry) == 5:
            entry[3](entry[4])
            return
        event = entry[3]
        callbacks, event.callbacks = event.callbacks, None
        try:
            for callback in callbacks:
                callback(event)
        except StopSimulation:
            self._put_back(event, callbacks, callback)
            raise
        if not event._ok and not hasattr(event, "_defused"):
            raise _copy_of(event._value)

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
            self._run()
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
        heappush(self._heap, (at, URGENT, next(self._eid), _stop, None))

    def _run(self) -> None:
        """Process entries until there are none: `step` in a loop, inlined because a run spends its time here."""
        if getattr(self.step, "__func__", None) is not Environment.step:
            self._run_by_steps()
            return
        heap = self._heap
        pop = heappop
        crowds = _Crowds()
        try:
            # `while True`, not `while heap`: CPython 3.11 specialises the instructions of a function after a few
            # calls or a few unconditional jumps back. This function is called only once.
            while True:
                for _ in repeat(None, CROWD):  # counts entries without any cost per entry
                    try:
                        entry = pop(heap)
                    except IndexError:
                        return
                    self._now = entry[0]
                    if len(entry) == 5:
                        entry[3](entry[4])
                    else:
                        event = entry[3]
                        callbacks, event.callbacks = event.callbacks, None
                        for callback in callbacks:
                            callback(event)
                        if not event._ok and not hasattr(event, "_defused"):
                            raise _copy_of(event._value)
                crowds.refuse_standstill(self._now, entry[2], next(self._eid))
        except StopSimulation:
            if len(entry) == 4:
                self._put_back(event, callbacks, callback)
            raise

    def _run_by_steps(self) -> None:
        """The loop for environments that override or wrap `step` (real time, tracing)."""
        crowds = _Crowds()
        try:
            while True:
                for _ in repeat(None, CROWD):
                    serial = self._heap[0][2] if self._heap else 0
                    self.step()
                crowds.refuse_standstill(self._now, serial, next(self._eid))
        except EmptySchedule:
            return

    def _put_back(
        self, event: Event, callbacks: list[Callable[[Event], None]], stopped_in: Callable[[Event], None]
    ) -> None:
        """Schedule the callbacks of an event that a stop skipped; they run when the simulation continues."""
        event.callbacks = callbacks[callbacks.index(stopped_in) + 1 :]
        self.schedule(event, _AT_ONCE)


class _Crowds:
    """Distinguishes a run whose time does not advance from a run with many entries at one time.

    A crowd is `CROWD` entries processed in a row. In a burst (a thousand nodes receive messages from a thousand nodes
    at once), all entries were scheduled before the burst began. In a standstill, each crowd ends with an entry that
    was scheduled after the previous crowd.
    """

    def __init__(self) -> None:
        self._time = nan
        self._serial = 0  # of the first entry made after the last generation
        self._generations = 0

    def refuse_standstill(self, now: float, last: int, serial: int) -> None:
        """Called after each crowd. Raises `StandstillError` after the second generation at one time.

        ``now``: simulated seconds; ``last``: the serial number of the crowd's last entry; ``serial``: the serial
        number that the next new entry gets.
        """
        if now != self._time:
            self._time, self._serial, self._generations = now, serial, 0
        elif last > self._serial:
            self._serial, self._generations = serial, self._generations + 1
        if self._generations == 2:
            raise StandstillError(
                f"time stands still at {now!r} s: more than {2 * CROWD:,} events in a row happened at this instant, "
                "and each made the next. Something goes round without delay: give the network a latency, the machines "
                "a cost per message, clients a think time, or a timer a length"
            )


def _collect_seldom() -> tuple[int, int, int]:
    """Let the garbage collector look less often, as a run makes many objects that live on; its settings before.

    After 700 new objects, as is usual, a checked run spends a twentieth of its time so.
    """
    before = gc.get_threshold()
    if before[0]:  # 0: it is switched off
        gc.set_threshold(max(_OBJECTS, before[0]), *before[1:])
    return before


def _stop(_: None) -> NoReturn:
    raise StopSimulation(None)


def _copy_of(failure: BaseException) -> BaseException:
    """A new exception of the same class with ``failure`` as its cause, so that tracebacks don't pile up."""
    copy = type(failure)(*failure.args)
    copy.__cause__ = failure
    for note in getattr(failure, "__notes__", ()):
        copy.add_note(note)
    return copy
