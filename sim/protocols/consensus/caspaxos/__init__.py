"""CASPaxos (Rystsov 2018): messages, node, system, invariants."""

from sim.protocols.consensus.caspaxos.system import CasPaxos

__all__ = [
    "CasPaxos",
]
