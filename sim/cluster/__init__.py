"""Hosts nodes on the kernel: cores, disks, clocks, crash and restart."""

from sim.cluster.cluster import Cluster, Tracing, share_traced
from sim.cluster.host import NodeHost
from sim.cluster.profile import CLOUD_MACHINE, Clock, Disk, Machine

__all__ = ["CLOUD_MACHINE", "Clock", "Cluster", "Disk", "Machine", "NodeHost", "Tracing", "share_traced"]
