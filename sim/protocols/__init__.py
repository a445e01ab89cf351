"""Protocols: one file a protocol, next to its paper. They know `sim.node` and `sim.system`, never the kernel."""

from sim.protocols.consensus.raft import BasicRaft
from sim.protocols.consensus.raft_thesis import Raft

__all__ = ["BasicRaft", "Raft"]
