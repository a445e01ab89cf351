"""Single-decree Paxos (Lamport 2001): node, system, invariants."""

from sim.protocols.consensus.paxos.invariants import PaxosSafety, Slot
from sim.protocols.consensus.paxos.system import Paxos

__all__ = [
    "Paxos",
    "PaxosSafety",
    "Slot",
]
