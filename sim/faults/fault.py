"""Faults as values: what goes wrong, when, and where.

A fault is a frozen value; the nemesis plays it as a SimPy process (`Fault.play`) that acts on a `World`. Targets are
names of nodes, machines or regions, ``"all"`` (all members), ``"random"``, a role (``"leader"``, ``"primary"``,
``"head"``), or ``"there"``: the node at which the trigger of the fault (`sim.faults.when`) was reached. The system
resolves a role when the fault begins; while no member holds the role, the fault waits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from simpy.events import Event

from sim.faults.when import Trigger, When
from sim.kernel import BranchingStream, Environment
from sim.network.detention import Detention
from sim.network.disturbances import Disturbance
from sim.settings import Value

__all__ = ["Fault", "Pairs", "Play", "Scene", "World", "begin", "within"]

Play = Generator[Any, Any, None]
Pairs = list[tuple[str, str]]

_RETRY = 0.001  # seconds between two searches for the holder of a vacant role


class World(Protocol):
    """The interface of a running simulation that faults act on; `sim.lab.Simulation` implements it."""

    env: Environment
    in_force: dict[tuple[str, str], list[Any]]
    """What faults do to nodes now, by state and node: see `sim.faults.lasting`."""

    @property
    def replicas(self) -> tuple[str, ...]:
        """The members, clients excluded, that are part of the system now."""

    @property
    def faults_ended(self) -> bool:
        """Whether nothing goes wrong any more."""

    def is_up(self, name: str) -> bool:
        """Whether a member is alive."""

    def is_well(self, name: str) -> bool:
        """Whether a member is alive and, if it has to recover from a restart, has done so."""

    def find(self, target: str) -> tuple[str, ...]:
        """The members that a name, a machine, a region or a role means at this moment; empty for a vacant role."""

    @property
    def next_leader(self) -> str | None:
        """The member that leads next, where the system fixes that; see `sim.System.next_leader`."""

    def reached(self, trigger: Trigger) -> Event:
        """The event of a trigger, whose value is the name of the node at which it was reached.

        The trigger must be one of a fault of the scenario: others are not counted, and raise a LookupError.
        """

    def everyone(self, region: str | None = None) -> tuple[str, ...]:
        """All nodes, clients included; of one region if ``region`` is given."""

    def record(self, node: str, event: str, detail: dict[str, Any]) -> None:
        """Append to the frame ``events``."""

    def administer(self, request: Any) -> None:
        """Let the admin client send a request (`sim.protocols.admin`) to the system, over the network."""

    # The rest is described in `sim.lab.disturbable`.

    def crash(self, name: str, *, power: bool = False, for_good: bool = False) -> None: ...
    def restart(self, name: str, *, wiped: bool = False) -> None: ...
    def pause(self, name: str) -> None: ...
    def resume(self, name: str) -> None: ...
    def set_speed(self, name: str, speed: float) -> None: ...
    def set_clock(self, name: str, offset: float | None, drift: float | None) -> None: ...
    def cut(self, pairs: Pairs, label: str) -> None: ...
    def heal(self, pairs: Pairs, label: str) -> None: ...
    def disturb(self, pairs: Pairs, disturbance: Disturbance) -> None: ...
    def relieve(self, pairs: Pairs, disturbance: Disturbance) -> None: ...
    def detain(self, detention: Detention) -> None: ...
    def let_go(self, detention: Detention) -> None: ...
    def slow_disk(self, name: str, factor: float) -> None: ...
    def stall_disk(self, name: str, stalled: bool) -> None: ...
    def fail_disk(self, name: str, failing: bool) -> None: ...
    def disk_failure(self, name: str) -> Event: ...
    def damage_disk(self, name: str, where: float) -> None: ...


@dataclass(frozen=True)
class Scene:
    """A fault that has begun: its world, its random stream, and the node at which its trigger was reached."""

    world: World
    stream: BranchingStream
    there: str = ""

    def find(self, target: str) -> Generator[Any, Any, tuple[str, ...]]:
        """Wait until ``target`` means at least one member; return the members."""
        if target == "there":
            return (self.there,)
        if target == "all":
            return self.world.replicas
        if target == "random":
            return (yield from self._any())
        found = self.world.find(target)
        while not found:
            yield from self._wait()
            found = self.world.find(target)
        return found

    def _wait(self) -> Generator[Any, Any, None]:
        """Wait before another search; for ever once all faults have ended."""
        yield self.world.env.timeout(_RETRY)
        if self.world.faults_ended:
            yield self.world.env.event()

    def find_all(self, targets: Iterable[str]) -> Generator[Any, Any, tuple[str, ...]]:
        """The members that several targets mean, each once."""
        found: dict[str, None] = {}
        for target in targets:
            found.update(dict.fromkeys((yield from self.find(target))))
        return tuple(found)

    def _any(self) -> Generator[Any, Any, tuple[str, ...]]:
        """A member that is up; there is one draw, also if it waits."""
        draw = self.stream.random()
        while not (alive := [name for name in self.world.replicas if self.world.is_up(name)]):
            yield from self._wait()
        return (alive[int(draw * len(alive))],)


def begin(world: World, when: When, stream: BranchingStream) -> Generator[Any, Any, Scene]:
    """Wait for the time or the trigger at which a fault begins. After all faults have ended, none begins."""
    there = ""
    if isinstance(when, Trigger):
        there = yield world.reached(when.condition)
    yield world.env.timeout(when.delay if isinstance(when, Trigger) else when)
    if world.faults_ended:
        yield world.env.event()  # for ever
    return Scene(world, stream, there)


@dataclass(frozen=True)
class Fault(Value):
    """Base of all faults. A fault of your own overrides `play`.

    Parameters
    ----------
    name:
        Its random draws have an address that is made of its class, this name and its number among the faults with the
        same class and name: see `sim.faults.nemesis.addresses`. Default: its targets. Its other fields are not part of
        the address, so a change of one moves no draw of another fault.
    """

    name: str = field(default="", kw_only=True, repr=False)

    takes_roles: ClassVar[bool] = True
    """Whether its target may be a role."""

    def targets(self) -> tuple[str, ...]:
        """The targets that it names; before the run, the scenario checks that they exist."""
        return ()

    def requests(self) -> tuple[Any, ...]:
        """The administrator's requests that it makes; the scenario checks beforehand that the system serves them."""
        return ()

    def parts(self) -> tuple[Fault, ...]:
        """Itself, or the faults that it is made of."""
        return (self,)

    def message_kinds(self) -> tuple[str, ...]:
        """The message classes that it names; before the run, the scenario checks that some node takes them."""
        return ()

    def triggers(self) -> tuple[Trigger, ...]:
        """The triggers that it waits for: those in its fields."""
        values = (getattr(self, f.name) for f in dataclasses.fields(self))
        return tuple(value for value in values if isinstance(value, Trigger))

    @property
    def begins(self) -> float:
        """The simulated time (seconds) at which it begins at the earliest: its field ``at`` or ``start``, else 0."""
        begins: When = getattr(self, "at", getattr(self, "start", 0.0))
        return begins.delay if isinstance(begins, Trigger) else begins

    def play(self, world: World, stream: BranchingStream) -> Play:
        """A process that acts on the world. ``stream``: the random stream of this fault; others branch off from it."""
        raise NotImplementedError


def within(owner: str, start: float, end: float | None) -> None:
    """Raise ValueError unless ``end`` is None or after ``start`` (seconds)."""
    if end is not None and not end > start:
        raise ValueError(f"{owner}: end must be after start ({start!r} s), not {end!r}")
