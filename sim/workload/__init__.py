"""Workloads: which operations clients issue, when, and from where."""

from sim.workload.keys import HotSpot, Keys, Latest, Uniform, Zipf
from sim.workload.load import ClosedLoop, Idle, OpenLoop, Workload
from sim.workload.mix import YCSB, Mix
from sim.workload.probe import ReadAfterWrite
from sim.workload.trace import Arrival, Trace

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
