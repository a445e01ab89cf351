"""Hosts nodes on the kernel: cores, disks, clocks, crash and restart."""

from sim.cluster.cluster import Cluster
from sim.cluster.host import NodeHost
from sim.cluster.profile import Clock, Disk, Host

__all__ = ["Clock", "Cluster", "Disk", "Host", "NodeHost"]
