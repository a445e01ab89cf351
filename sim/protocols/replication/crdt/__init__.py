"""Conflict-free replicated data types, and replicas that hold them."""

from sim.protocols.replication.crdt.dots import Context
from sim.protocols.replication.crdt.system import Crdt, CrdtNode
from sim.protocols.replication.crdt.types import GCounter, LwwRegister, MvRegister, OrMap, OrSet, PnCounter

__all__ = [
    "Context",
    "Crdt",
    "CrdtNode",
    "GCounter",
    "LwwRegister",
    "MvRegister",
    "OrMap",
    "OrSet",
    "PnCounter",
]
