"""Faults as values, and the nemesis that plays them."""

from sim.faults.administration import Administer
from sim.faults.crashes import Crash, RandomCrashes, Restart
from sim.faults.disturbances import ClockJump, Flaky, Pause, RandomDisturbances, RandomPauses, Slow
from sim.faults.fault import Fault, World
from sim.faults.nemesis import unleash
from sim.faults.partitions import Cut, Partition, RandomPartitions

__all__ = [
    "Administer",
    "ClockJump",
    "Crash",
    "Cut",
    "Fault",
    "Flaky",
    "Partition",
    "Pause",
    "RandomCrashes",
    "RandomDisturbances",
    "RandomPartitions",
    "RandomPauses",
    "Restart",
    "Slow",
    "World",
    "unleash",
]
