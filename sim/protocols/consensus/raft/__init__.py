"""Raft as in Ongaro's thesis: the node of figure 2, and extensions that override its methods.

Diego Ongaro, "Consensus: Bridging Theory and Practice", Stanford 2014. Each extension is a subclass of
`RaftNode` in its own file. The frozen `Raft` selects the extensions and composes them. An extension that is off adds
no code: without options, a server is exactly the node of figure 2.
"""

from sim.protocols.consensus.raft.basic import BasicRaft
from sim.protocols.consensus.raft.invariants import AcknowledgedIsCommitted, ExactlyOnce, raft_invariants
from sim.protocols.consensus.raft.node import Entry, RaftNode
from sim.protocols.consensus.raft.sharded import ShardedRaft
from sim.protocols.consensus.raft.system import Raft

__all__ = [
    "AcknowledgedIsCommitted",
    "BasicRaft",
    "Entry",
    "ExactlyOnce",
    "Raft",
    "RaftNode",
    "ShardedRaft",
    "raft_invariants",
]
