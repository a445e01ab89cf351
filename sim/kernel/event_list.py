"""The event list of a simulation: what will happen, in one total order, and the loop that makes it happen.

There are two builds of it with the same behaviour: this one, and the compiled ``_event_list.pyx`` beside it
(`sim.engine` says which one runs). An entry is an event of SimPy, ``(time, priority, serial, event)``, or a
*plain call*, ``(time, priority, serial, function, argument)``: no `Event` object, no callback list, no process.
All entries are scheduled through `EventList.push`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count, repeat
from math import inf
from types import MethodType
from typing import Any

from simpy.core import EmptySchedule, Infinity, StopSimulation
from simpy.events import NORMAL, Event, EventPriority

from sim.kernel.endings import PRIORITIES, Crowds, copy_of, priority_in_range

__all__ = ["EventList"]


class EventList:
    """The base of `Environment` that keeps the entries, and simulated time.

    Attributes
    ----------
    push: takes an entry, ``(time, priority, serial, event)`` or ``(time, priority, serial, function, argument)``; the
        one door through which everything is scheduled. Times are simulated seconds and are not checked here.
    serial: returns the serial number of the next entry, 0, 1, 2, ...: entries of one time and priority happen in this
        order.
    """

    _now: float

    def _open(self, initial_time: float) -> None:
        """Begin with an empty list at a simulated time (seconds)."""
        self._now = initial_time
        self._queue: list[Any] = []
        self._eid = count()
        # Not a partial: CPython calls what a method is bound to directly.
        self.push: Callable[[tuple[Any, ...]], None] = MethodType(heappush, self._queue)
        self.serial: Callable[[], int] = self._eid.__next__

    @property
    def scheduled(self) -> int:
        """The number of entries scheduled so far."""
        return int(repr(self._eid).strip("count()"))  # taking the next number would change it

    def call_at(self, time: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Call ``function(argument)`` at simulated ``time`` (seconds).

        Raises ValueError when the time lies in the past or is not finite.
        """
        if not self._now <= time < inf:
            raise ValueError(f"cannot call at {time!r} s: it is {self._now!r} s now")
        push, serial = self.push, self.serial  # CPython is slower to call them as attributes
        push((time, NORMAL, serial(), function, argument))

    def call_after(self, delay: float, function: Callable[[Any], object], argument: Any = None) -> None:
        """Call ``function(argument)`` after ``delay`` seconds (>= 0 and finite, else ValueError)."""
        if not 0 <= delay < inf:
            raise ValueError(f"cannot call after {delay!r} s: a delay is finite and at least 0")
        push, serial = self.push, self.serial
        push((self._now + delay, NORMAL, serial(), function, argument))

    def schedule(self, event: Event, priority: EventPriority = NORMAL, delay: float = 0) -> None:
        """Schedule an event with a priority after ``delay`` seconds, as SimPy does.

        Raises ValueError for a priority out of range (`sim.kernel.endings.PRIORITIES`), TypeError for no integer.
        """
        if priority.__class__ is not int or not -PRIORITIES <= priority < PRIORITIES:
            priority = EventPriority(priority_in_range(priority))
        push, serial = self.push, self.serial
        push((self._now + delay, priority, serial(), event))

    def peek(self) -> float:
        """The simulated time (seconds) of the next entry; infinity if there is none."""
        return Infinity if not self._queue else self._queue[0][0]  # SimPy compares it by identity

    def step(self) -> None:
        """Process the next entry. Raises `simpy.core.EmptySchedule` when there is none."""
        try:
            entry = heappop(self._queue)
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
            raise copy_of(event._value)

    def _run(self, crowds: Crowds) -> None:
        """Process entries until there are none: `step` in a loop, inlined because a run spends its time here."""
        heap = self._queue
        pop = heappop
        try:
            # `while True`, not `while heap`: CPython 3.11 specialises the instructions of a function after a few
            # calls or a few unconditional jumps back. This function is called only once.
            while True:
                for _ in repeat(None, crowds.size):  # counts entries without any cost per entry
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
                            raise copy_of(event._value)
                crowds.refuse_standstill(self._now, entry[2], self.scheduled)
        except StopSimulation:
            if len(entry) == 4:
                self._put_back(event, callbacks, callback)
            raise

    def _put_back(
        self, event: Event, callbacks: list[Callable[[Event], None]], stopped_in: Callable[[Event], None]
    ) -> None:
        """Schedule the callbacks of an event that a stop skipped; they run when the simulation continues."""
        raise NotImplementedError
