"""Mencius (Mao, Junqueira, Marzullo, OSDI 2008): node, messages, replica, revocation, system, invariants."""

from sim.protocols.consensus.mencius.system import Mencius

__all__ = [
    "Mencius",
]
