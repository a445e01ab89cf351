"""Requests of an administrator to a running system, scheduled like faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.when import When
from sim.kernel import BranchingStream

__all__ = ["Administer"]


@dataclass(frozen=True)
class Administer(Fault):
    """Not a fault, but scheduled like one: an admin client sends ``request`` to the system.

    ``at``: seconds, or a trigger.
    ``request`` is a `Join`, `Leave`, `Reconfigure`, `Transfer` or `Drain` of `sim.protocols.admin`. A scenario whose
    system does not serve the request raises ValueError. A spare that shall join is started first. The outcome of the
    request is a row of the frame ``events`` (``admin``: request, done, reason), at the latest at the end of the run.
    """

    request: Any
    at: When

    def __post_init__(self) -> None:
        if isinstance(self.request, type) or not getattr(self.request, "is_administration", False):
            raise ValueError(
                f"Administer: request must be one of sim.protocols.admin, such as Join('n3'), not {self.request!r}"
            )

    def targets(self) -> tuple[str, ...]:
        named: tuple[str, ...] = self.request.named
        return named

    def requests(self) -> tuple[Any, ...]:
        return (self.request,)

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield from begin(world, self.at, stream)
        for name in self.request.to_start:
            if name not in world.replicas:
                world.restart(name)
        world.administer(self.request)
