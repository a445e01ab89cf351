"""The nemesis: the process that plays faults against a running simulation."""

from __future__ import annotations

from collections.abc import Sequence

from sim.faults.fault import Fault, World

__all__ = ["unleash"]


def unleash(world: World, faults: Sequence[Fault]) -> None:
    """Start a process for each fault. The k-th fault draws from the stream ``faults/<k>``."""
    for k, fault in enumerate(faults):
        world.env.process(fault.play(world, world.streams[f"faults/{k}"]))
