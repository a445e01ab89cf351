"""Faults as values, and the nemesis that plays them."""

from sim.faults.fault import (
    Administer,
    ClockJump,
    Crash,
    Cut,
    Fault,
    Flaky,
    Partition,
    RandomCrashes,
    RandomPartitions,
    Restart,
    Slow,
    World,
)
from sim.faults.nemesis import unleash

__all__ = [
    "Administer",
    "ClockJump",
    "Crash",
    "Cut",
    "Fault",
    "Flaky",
    "Partition",
    "RandomCrashes",
    "RandomPartitions",
    "Restart",
    "Slow",
    "World",
    "unleash",
]
