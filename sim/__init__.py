"""quorumlab: a discrete-event simulator for distributed systems.

>>> from sim import Scenario, compare
>>> from sim.protocols import Raft
>>> run = Scenario(system=Raft(nodes=3), duration=2.0).run(seed=1)
>>> bool(len(run.operations))
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.cluster import Clock, Disk, Machine
    from sim.lab import (
        Comparison,
        Run,
        Scenario,
        Simulation,
        Sweep,
        compare,
        compare_scenarios,
        draw_storm,
        frontier,
        load,
        run_storm,
        sweep,
    )
    from sim.measure import Measure
    from sim.node import Node, Part, durable, durable_log, durable_map, part
    from sim.prices import Prices
    from sim.protocols.client import Retry
    from sim.system import Invariant, LivenessViolation, Member, SafetyViolation, System

__version__ = "0.1.0"

_HOMES = {
    "sim.cluster": ("Clock", "Disk", "Machine"),
    "sim.lab": (
        *("Comparison", "Run", "Scenario", "Simulation", "Sweep"),
        *("compare", "compare_scenarios", "draw_storm", "frontier", "load", "run_storm", "sweep"),
    ),
    "sim.measure": ("Measure",),
    "sim.prices": ("Prices",),
    "sim.node": ("Node", "Part", "durable", "durable_log", "durable_map", "part"),
    "sim.protocols.client": ("Retry",),
    "sim.system": ("Invariant", "LivenessViolation", "Member", "SafetyViolation", "System"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Clock",
    "Comparison",
    "Disk",
    "Invariant",
    "LivenessViolation",
    "Machine",
    "Measure",
    "Member",
    "Node",
    "Part",
    "Prices",
    "Retry",
    "Run",
    "SafetyViolation",
    "Scenario",
    "Simulation",
    "Sweep",
    "System",
    "compare",
    "compare_scenarios",
    "draw_storm",
    "durable",
    "durable_log",
    "durable_map",
    "frontier",
    "load",
    "part",
    "run_storm",
    "sweep",
]


def __getattr__(name: str) -> Any:
    # A name is imported from its module at first use, so that `sim --help` answers at once.
    if name == "plot":
        return import_module("sim.plot")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
