"""What both builds of the event list (`sim.kernel.event_list`) share: priorities, and how a run ends.

It ends by a stop, by an exception, or because simulated time does not advance.
"""

from __future__ import annotations

from math import nan
from operator import index
from typing import Any, NoReturn

from simpy.core import StopSimulation
from simpy.events import EventPriority

__all__ = [
    "AT_ONCE",
    "CROWD",
    "PRIORITIES",
    "Crowds",
    "StandstillError",
    "copy_of",
    "priority_in_range",
    "stop",
]

CROWD = 1_000_000
"""How many entries the environment processes between two checks that simulated time advances."""

PRIORITIES = 2**14
"""Priorities are integers from ``-PRIORITIES`` to ``PRIORITIES - 1``; SimPy itself has -1, 0 and 1."""

AT_ONCE = EventPriority(-1)
"""Before everything else: SimPy reschedules an interrupted event with this priority, too."""


class StandstillError(ValueError):
    """Entries keep scheduling new entries at the same simulated time, so the run would never end."""


class Crowds:
    """Distinguishes a run whose time does not advance from a run with many entries at one time.

    A crowd is `CROWD` entries processed in a row. In a burst (a thousand nodes receive messages from a thousand nodes
    at once), all entries were scheduled before the burst began. In a standstill, each crowd ends with an entry that
    was scheduled after the previous crowd.
    """

    def __init__(self) -> None:
        self.size = CROWD
        self._time = nan
        self._serial = 0  # of the first entry made after the last generation
        self._generations = 0

    def refuse_standstill(self, now: float, last: int, serial: int) -> None:
        """Called after each `size` entries. Raises `StandstillError` after the second generation at one time.

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


def priority_in_range(priority: Any) -> int:
    """The priority as an int. Raises TypeError for one that is no integer, ValueError for one out of range."""
    value = index(priority)
    if not -PRIORITIES <= value < PRIORITIES:
        raise ValueError(f"a priority is from {-PRIORITIES} to {PRIORITIES - 1}, not {priority!r}")
    return value


def stop(_: None) -> NoReturn:
    """End the run."""
    raise StopSimulation(None)


def copy_of(failure: BaseException) -> BaseException:
    """A new exception of the same class with ``failure`` as its cause, so that tracebacks don't pile up."""
    copy = type(failure)(*failure.args)
    copy.__cause__ = failure
    for note in getattr(failure, "__notes__", ()):
        copy.add_note(note)
    return copy
