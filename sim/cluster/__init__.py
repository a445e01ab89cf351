"""Hosts nodes on the kernel: cores, disks, clocks, crash and restart."""

from sim.cluster.cluster import Cluster
from sim.cluster.host import NodeHost
from sim.cluster.profile import CLOUD_HOST, Clock, Disk, Host

__all__ = ["CLOUD_HOST", "Clock", "Cluster", "Disk", "Host", "NodeHost"]
