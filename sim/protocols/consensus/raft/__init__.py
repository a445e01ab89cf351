"""The Raft of Ongaro's thesis: figure 2's node, extended by overriding.

Diego Ongaro, "Consensus: Bridging Theory and Practice", Stanford 2014. Each extension is a subclass of
`RaftNode` in a file of its own; the frozen `Raft` says which are on, and composes them. What is off is not
there at all: without options a server is the very node of figure 2.
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
