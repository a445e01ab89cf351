"""Nodes that faults have taken down: each is up again after the last of the faults that keep it down has ended.

A crash from second 1 to 5 and one from second 3 to 8 keep a node down from 1 to 8. What no fault has taken down, such
as a spare that has not started, no fault brings up.
"""

from __future__ import annotations

from sim.faults.fault import World

__all__ = ["Outage", "end_outages"]

_DOWN = "down"


class Outage:
    """The time for which one fault keeps nodes down; one that never ends keeps them down until a `Restart`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._wiped: set[str] = set()  # nodes whose disk another fault has lost meanwhile; never iterated

    def begin(self, node: str, *, power: bool = False, for_good: bool = False) -> None:
        """Take a node down; where it is down already, keep it down. ``power``, ``for_good``: see `World.crash`."""
        was_up = self._world.is_up(node)
        if was_up:
            end_outages(self._world, node)  # of earlier times: somebody has restarted it since
        if was_up or for_good:
            self._world.crash(node, power=power, for_good=for_good)
        if was_up or self._held(node):
            self._held(node).append(self)

    def take_over(self, node: str) -> None:
        """Keep a node down that has just crashed for another reason, such as a sync that failed."""
        held = self._held(node)
        if self not in held:
            held.append(self)

    def end(self, node: str, *, wiped: bool = False) -> None:
        """Restart a node, unless another fault keeps it down; ``wiped``: with an empty disk, also if it is later."""
        held = self._held(node)
        if self not in held:
            return
        held.remove(self)
        wiped = wiped or node in self._wiped
        if not held:
            self._world.restart(node, wiped=wiped)
        elif wiped:
            held[-1]._wiped.add(node)

    def _held(self, node: str) -> list[Outage]:
        """The outages that keep a node down now."""
        return self._world.in_force.setdefault((_DOWN, node), [])


def end_outages(world: World, node: str) -> None:
    """No fault keeps a node down any more."""
    world.in_force.pop((_DOWN, node), None)
