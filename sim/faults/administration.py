"""What an administrator asks of a running system, scheduled like faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.faults.fault import Fault, Story, World, at_least_zero
from sim.kernel import Stream

__all__ = ["Administer"]


@dataclass(frozen=True)
class Administer(Fault):
    """No fault, but scheduled like one: at time ``at`` an admin client asks ``request`` of the system.

    ``request`` is a `Join`, `Leave`, `Reconfigure`, `Transfer` or `Drain` of `sim.protocols.admin`; a scenario whose
    system does not serve it is refused. A spare that is to join is started first. What became of the request stands
    in the frame ``events`` (``admin``: request, done, reason), at the end of the run at the latest.
    """

    request: Any
    at: float

    def __post_init__(self) -> None:
        at_least_zero("Administer", at=self.at)
        if isinstance(self.request, type) or not getattr(self.request, "is_administration", False):
            raise ValueError(
                f"Administer: request must be one of sim.protocols.admin, such as Join('n3'), not {self.request!r}"
            )

    def targets(self) -> tuple[str, ...]:
        named: tuple[str, ...] = self.request.named
        return named

    def requests(self) -> tuple[Any, ...]:
        return (self.request,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        for name in self.request.to_start:
            if name not in world.replicas:
                world.restart(name)
        world.administer(self.request)
