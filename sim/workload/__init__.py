"""Workloads: which operations clients issue, when, and from where."""

from sim.workload.keys import HotSpot, Keys, Latest, Uniform, Zipf
from sim.workload.load import Arrival, ClosedLoop, Idle, OpenLoop, Trace, Workload
from sim.workload.mix import YCSB, Mix
from sim.workload.probe import ReadAfterWrite

__all__ = [
    "YCSB",
    "Arrival",
    "ClosedLoop",
    "HotSpot",
    "Idle",
    "Keys",
    "Latest",
    "Mix",
    "OpenLoop",
    "ReadAfterWrite",
    "Trace",
    "Uniform",
    "Workload",
    "Zipf",
]
