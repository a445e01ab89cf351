"""Workloads: which operations clients issue, when, and from where."""

from sim.workload.keys import HotSpot, Keys, Latest, UniformKeys, Zipf
from sim.workload.load import ClosedLoop, NoLoad, OpenLoop, Workload
from sim.workload.mix import YCSB, Mix
from sim.workload.probe import ReadAfterWrite
from sim.workload.script import Script, ScriptedCall
from sim.workload.trace import Arrival, Trace

__all__ = [
    "YCSB",
    "Arrival",
    "ClosedLoop",
    "HotSpot",
    "Keys",
    "Latest",
    "Mix",
    "NoLoad",
    "OpenLoop",
    "ReadAfterWrite",
    "Script",
    "ScriptedCall",
    "Trace",
    "UniformKeys",
    "Workload",
    "Zipf",
]
