"""Faults as values, and the nemesis that plays them."""

from sim.faults.administration import Administer
from sim.faults.crashes import Crash, RandomCrashes, Restart
from sim.faults.disturbances import ClockJump, Flaky, Pause, RandomDisturbances, RandomPauses, Slow
from sim.faults.fault import Fault, World
from sim.faults.nemesis import addresses, pinned, unleash
from sim.faults.partitions import Cut, Partition, RandomPartitions
from sim.faults.when import OnEvent, OnMessage, OnWrite, Trigger, When

__all__ = [
    "Administer",
    "ClockJump",
    "Crash",
    "Cut",
    "Fault",
    "Flaky",
    "OnEvent",
    "OnMessage",
    "OnWrite",
    "Partition",
    "Pause",
    "RandomCrashes",
    "RandomDisturbances",
    "RandomPartitions",
    "RandomPauses",
    "Restart",
    "Slow",
    "Trigger",
    "When",
    "World",
    "addresses",
    "pinned",
    "unleash",
]
