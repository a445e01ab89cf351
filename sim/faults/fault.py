"""Faults as values: what goes wrong, when, and where.

A fault is a frozen value; the nemesis plays it as a SimPy process (`Fault.play`) that acts on a `World`. Targets are
names of members, machines or regions, ``"random"``, or a role (``"leader"``, ``"primary"``, ``"head"``). The system
resolves a role when the fault begins; while no member holds the role, the fault waits.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sim.kernel import Environment, Stream, Streams
from sim.settings import Value

__all__ = [
    "Fault",
    "Pairs",
    "Play",
    "World",
    "await_target",
    "check_targets",
    "check_times",
    "within",
]

Play = Generator[Any, Any, None]
Pairs = list[tuple[str, str]]

_RETRY = 0.001  # seconds between two searches for the holder of a vacant role


class World(Protocol):
    """The interface of a running simulation that faults act on; `sim.lab.Simulation` implements it."""

    env: Environment
    streams: Streams

    @property
    def replicas(self) -> tuple[str, ...]:
        """The members, clients excluded, that are part of the system now."""

    def is_up(self, name: str) -> bool:
        """Whether a member is alive."""

    def is_well(self, name: str) -> bool:
        """Whether a member is alive and, if it has to recover from a restart, has done so."""

    def find(self, target: str) -> tuple[str, ...]:
        """The members that a target means at this moment; empty for a vacant role."""

    def crash(self, name: str) -> None:
        """Crash a member."""

    def restart(self, name: str, *, wiped: bool = False) -> None:
        """Restart a crashed member."""

    def pause(self, name: str) -> None:
        """Pause a member; no effect if it is down."""

    def resume(self, name: str) -> None:
        """Resume a paused member."""

    def everyone(self, region: str | None = None) -> tuple[str, ...]:
        """All nodes, clients included; of one region if ``region`` is given."""

    def cut(self, pairs: Pairs, label: str) -> None:
        """Cut directed links."""

    def heal(self, pairs: Pairs, label: str) -> None:
        """Take a cut back."""

    def disturb(self, pairs: Pairs, slowdown: float, loss: float) -> None:
        """Multiply the latency of links by ``slowdown`` and add ``loss`` to their loss; 1.0 and 0.0 end this."""

    def set_speed(self, name: str, speed: float) -> None:
        """Change the speed of a member's cores."""

    def set_clock(self, name: str, offset: float | None, drift: float | None) -> None:
        """Change a member's clock."""

    def record(self, node: str, event: str, detail: dict[str, Any]) -> None:
        """Append to the frame ``events``."""

    def administer(self, request: Any) -> None:
        """Let the admin client send a request (`sim.protocols.admin`) to the system, over the network."""


def await_target(world: World, target: str) -> Generator[Any, Any, tuple[str, ...]]:
    """Wait until ``target`` means at least one member; return the members."""
    found = world.find(target)
    while not found:
        yield world.env.timeout(_RETRY)
        found = world.find(target)
    return found


@dataclass(frozen=True)
class Fault(Value):
    """Base of all faults. A fault of your own overrides `play`."""

    def targets(self) -> tuple[str, ...]:
        """The targets that it names; before the run, the scenario checks that they exist."""
        return ()

    def requests(self) -> tuple[Any, ...]:
        """The administrator's requests that it makes; the scenario checks beforehand that the system serves them."""
        return ()

    @property
    def begins(self) -> float:
        """The simulated time (seconds) at which it begins: its field ``at`` or ``start``, else 0."""
        begins: float = getattr(self, "at", getattr(self, "start", 0.0))
        return begins

    def play(self, world: World, stream: Stream) -> Play:
        """A process that acts on the world. ``stream``: the random stream of this fault."""
        raise NotImplementedError


def check_times(faults: Iterable[Fault], duration: float) -> None:
    """Raise ValueError for a fault that would begin after the end of the run. ``duration``: seconds."""
    for fault in faults:
        if fault.begins >= duration:
            raise ValueError(
                f"{fault!r} would never happen: it begins at {fault.begins!r} s, and the run ends at {duration!r} s"
            )


def within(owner: str, start: float, end: float | None) -> None:
    """Raise ValueError unless ``end`` is None or after ``start`` (seconds)."""
    if end is not None and not end > start:
        raise ValueError(f"{owner}: end must be after start ({start!r} s), not {end!r}")


def check_targets(faults: Iterable[Fault], known: Mapping[str, Any], roles: Iterable[str]) -> None:
    """Raise ValueError for a fault whose target is neither a known name, nor a role, nor ``"random"``."""
    allowed = {*known, *roles, "random"}
    for fault in faults:
        for target in fault.targets():
            if target not in allowed:
                raise ValueError(f"{fault!r}: there is no {target!r}; there are {', '.join(sorted(allowed))}")
