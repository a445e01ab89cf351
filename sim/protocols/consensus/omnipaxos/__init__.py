"""Omni-Paxos (Ng, Haridi, Carbone 2023): messages, election, Sequence Paxos, system, invariants."""

from sim.protocols.consensus.omnipaxos.system import OmniPaxos

__all__ = [
    "OmniPaxos",
]
