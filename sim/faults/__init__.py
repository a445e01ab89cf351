"""Faults as values, and the nemesis that plays them."""

from sim.faults.administration import Administer
from sim.faults.crashes import Crash, RandomCrashes, Restart
from sim.faults.disks import DamagedDisk, FailedWrite, FullDisk, SlowDisk, StalledDisk
from sim.faults.disturbances import ClockJump, Pause, RandomDisturbances, RandomPauses, Slow
from sim.faults.fault import Fault, World
from sim.faults.messages import Flaky, Hold
from sim.faults.nemesis import addresses, pinned, unleash
from sim.faults.partitions import Cut, Partition, RandomPartitions
from sim.faults.restarts import PowerFailure, Repeated, RollingRestart
from sim.faults.shapes import BridgeCut, ChainedCut, ConstrainedElection, QuorumLoss, RingCut
from sim.faults.stale_leader import StaleLeader
from sim.faults.strike import Act, Strike
from sim.faults.succession import Succession
from sim.faults.when import OnEvent, OnMessage, OnWrite, Trigger, When

__all__ = [
    "Act",
    "Administer",
    "BridgeCut",
    "ChainedCut",
    "ClockJump",
    "ConstrainedElection",
    "Crash",
    "Cut",
    "DamagedDisk",
    "FailedWrite",
    "Fault",
    "Flaky",
    "FullDisk",
    "Hold",
    "OnEvent",
    "OnMessage",
    "OnWrite",
    "Partition",
    "Pause",
    "PowerFailure",
    "QuorumLoss",
    "RandomCrashes",
    "RandomDisturbances",
    "RandomPartitions",
    "RandomPauses",
    "Repeated",
    "Restart",
    "RingCut",
    "RollingRestart",
    "Slow",
    "SlowDisk",
    "StaleLeader",
    "StalledDisk",
    "Strike",
    "Succession",
    "Trigger",
    "When",
    "World",
    "addresses",
    "pinned",
    "unleash",
]
