"""States of nodes that faults bring about for a time: each lasts until the last of its faults has ended.

Two faults that pause one node at overlapping times keep it paused until the later end, as cuts of one link add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.faults.fault import World

__all__ = ["FAILING_DISK", "PAUSED", "SLOW_CORES", "SLOW_DISK", "STALLED_DISK", "Lasting", "wrong_clock"]


@dataclass(frozen=True)
class Lasting:
    """A state of a node.

    Attributes
    ----------
    what: its name. act: brings a node into it. usual: the value of a node without such a fault.
    together: the value of a node with several such faults, from theirs, in the order in which they began.
    """

    what: str
    act: Callable[[World, str, Any], None]
    usual: Any
    together: Callable[[list[Any]], Any]

    def begin(self, world: World, node: str, value: Any = True) -> None:
        """A fault begins that alone would bring the node to ``value``."""
        held = world.in_force.setdefault((self.what, node), [])
        held.append(value)
        self.act(world, node, self.together(held))

    def end(self, world: World, node: str, value: Any = True) -> bool:
        """The fault that began with ``value`` ends. Returns whether the node is well: no other is in force."""
        held = world.in_force[self.what, node]
        before = self.together(held)
        held.remove(value)
        if not held:
            self.act(world, node, self.usual)
        elif (now := self.together(held)) != before:
            self.act(world, node, now)
        return not held


def _pause(world: World, node: str, paused: bool) -> None:
    if paused:
        world.pause(node)
    else:
        world.resume(node)


def _last(values: list[Any]) -> Any:
    return values[-1]


# Acts are looked up on the world when they are needed: a recorded run has verbs of its own.
PAUSED = Lasting("paused", _pause, False, any)
SLOW_CORES = Lasting("slow", lambda world, node, speed: world.set_speed(node, speed), 1.0, min)
SLOW_DISK = Lasting("slow disk", lambda world, node, factor: world.slow_disk(node, factor), 1.0, max)
STALLED_DISK = Lasting("stalled disk", lambda world, node, on: world.stall_disk(node, on), False, any)
FAILING_DISK = Lasting("failing disk", lambda world, node, on: world.fail_disk(node, on), False, any)


def wrong_clock(jumps: bool) -> Lasting:
    """A clock whose (offset, drift) is wrong. ``jumps``: when it is set right, its offset is, too."""
    right = (0.0 if jumps else None, 0.0)
    return Lasting("clock", lambda world, node, wrong: world.set_clock(node, *wrong), right, _last)
