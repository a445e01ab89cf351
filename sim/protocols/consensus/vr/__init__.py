"""Viewstamped Replication Revisited (Liskov, Cowling 2012): node, messages, recovery, replica, system, invariants."""

from sim.protocols.consensus.vr.system import ViewstampedReplication

__all__ = [
    "ViewstampedReplication",
]
