"""The nemesis: the process that plays faults against a running simulation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from sim.faults.fault import Fault, World
from sim.kernel import Streams

__all__ = ["addresses", "pinned", "unleash"]

_NUMBERED = re.compile(r".*/\d+", re.DOTALL)


def addresses(faults: Sequence[Fault]) -> tuple[str, ...]:
    """The address of each fault: class, name, and number among the faults with the same class and name.

    ``Crash/n0/0`` is the first `Crash` of n0, ``Crash/n0/1`` the second. A fault without a name is called by its
    targets; a name that ends with ``/`` and a number has its number already (see `pinned`).
    """
    given = {f"{type(fault).__name__}/{fault.name}" for fault in faults if _NUMBERED.fullmatch(fault.name)}
    made: list[str] = []
    next_number: dict[str, int] = {}
    for fault in faults:
        stem = f"{type(fault).__name__}/{fault.name or ','.join(fault.targets()) or 'all'}"
        if _NUMBERED.fullmatch(fault.name):
            made.append(stem)
            continue
        number = next_number.get(stem, 0)
        while f"{stem}/{number}" in given:
            number += 1
        next_number[stem] = number + 1
        made.append(f"{stem}/{number}")
    return tuple(made)


def pinned(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The same faults, with their addresses as names: each draws the same, whichever of the others are left out."""
    return tuple(
        dataclasses.replace(fault, name=address.partition("/")[2])
        for fault, address in zip(faults, addresses(faults), strict=True)
    )


def unleash(world: World, faults: Sequence[Fault], streams: Streams) -> None:
    """Start a process for each fault. Each draws from the streams below ``faults/`` and its address."""
    for fault, address in zip(faults, addresses(faults), strict=True):
        world.env.process(fault.play(world, streams.branch(f"faults/{address}")))
