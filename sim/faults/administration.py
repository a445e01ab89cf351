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

    ``request`` is a `Join`, `Leave`, `Reconfigure`, `Transfer` or `Drain` of `sim.protocols.admin`. A spare that is
    to join is started first.
    """

    request: Any
    at: float

    def __post_init__(self) -> None:
        at_least_zero("Administer", at=self.at)

    def targets(self) -> tuple[str, ...]:
        one = getattr(self.request, "member", None)
        return (*getattr(self.request, "members", ()), *([one] if one is not None else []))

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        for name in self.targets():
            if name not in world.replicas:
                world.restart(name)
        world.administer(self.request)
