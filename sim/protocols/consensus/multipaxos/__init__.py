"""Multi-Paxos with flexible quorums: node, messages, learning, options, system, invariants."""

from sim.protocols.consensus.multipaxos.invariants import MultiPaxosSafety
from sim.protocols.consensus.multipaxos.system import MultiPaxos

__all__ = [
    "MultiPaxos",
    "MultiPaxosSafety",
]
