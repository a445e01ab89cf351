"""The kinds of faults that storms draw: when a system allows one, and what it is in a storm.

Each kind draws from a stream of its own, so a kind that is added moves no draw of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, log

from sim.faults import Fault
from sim.kernel import Stream
from sim.system import System

__all__ = [
    "Circumstances",
    "FaultKind",
    "about",
    "bounded",
    "kind",
    "kinds",
    "log_uniform",
    "moment",
    "others_of",
]


@dataclass(frozen=True)
class Circumstances:
    """What kinds of faults need to know of a storm.

    Attributes
    ----------
    system: its system. seconds: how long it lasts. names: the replicas that take part from the start. spares: those
    that do not. services: the members that are no replicas, such as a master or a balancer. clients: the names of
    client nodes. events: the events that its nodes record. messages: the classes of
    messages between replicas. news: the events that tell of a new leader, or of another change of roles. writes:
    whether replicas write to disk.
    """

    system: System
    seconds: float
    names: tuple[str, ...]
    spares: tuple[str, ...]
    services: tuple[str, ...]
    clients: tuple[str, ...]
    events: tuple[str, ...]
    messages: tuple[str, ...]
    news: tuple[str, ...]
    writes: bool

    @property
    def detection(self) -> float:
        """Seconds of silence after which members suspect each other."""
        return self.system.detection_timeout


Draw = Callable[[Circumstances, Stream], Iterator[Fault]]
Never = Callable[[Circumstances], str]


@dataclass(frozen=True)
class FaultKind:
    """A kind of faults.

    Attributes
    ----------
    name: its address. draw: its faults in a storm. never: the reason why no storm of a system has it, "" if there is
    none. covers: the classes of faults that it makes. weight: how often, relative to the other kinds. crashes: whether
    it takes members down, which counts against `System.max_down`.
    """

    name: str
    draw: Draw
    never: Never
    covers: tuple[type[Fault], ...]
    weight: float
    crashes: bool


kinds: dict[str, FaultKind] = {}
"""All kinds, by name."""


def kind(
    *covers: type[Fault],
    never: Never = lambda setting: "",
    weight: float = 1.0,
    crashes: bool = False,
) -> Callable[[Draw], Draw]:
    """Decorator: a generator of faults becomes a kind, named like the function."""

    def register(draw: Draw) -> Draw:
        name = draw.__name__.replace("_", " ")
        kinds[name] = FaultKind(name, draw, never, covers, weight, crashes)
        return draw

    return register


def moment(setting: Circumstances, stream: Stream) -> float:
    """A time (seconds) in the storm, after everything has begun."""
    return stream.uniform(min(0.2, setting.seconds / 2), setting.seconds)


def log_uniform(stream: Stream, most: int) -> int:
    """An integer from 1 to ``most``; each order of magnitude is equally likely."""
    return min(most, int(exp(stream.uniform(0.0, log(most + 1)))))


def others_of(setting: Circumstances, stream: Stream) -> tuple[str, ...]:
    """The nodes from which a member is cut off, while its clients reach it: the replicas, and in half of the cases the
    services, too, which then replace it."""
    return setting.names + (setting.services if stream.chance(0.5) else ())


def about(setting: Circumstances, stream: Stream) -> float:
    """Seconds about as long as the detection of a failure: a little less, or up to twice as long."""
    return setting.detection * stream.uniform(0.8, 2.2)


def bounded(setting: Circumstances, seconds: float) -> float:
    """So many seconds, or half of what a message may be late in this system at most."""
    most = setting.system.max_delay
    return seconds if most is None else min(seconds, most / 2)
