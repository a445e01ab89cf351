"""Conflict-free replicated data types: counters, registers, containers; system (its replicas), invariants."""

from sim.protocols.causality.dots import Context
from sim.protocols.replication.crdt.containers import OrMap, OrSet
from sim.protocols.replication.crdt.counters import GCounter, PnCounter
from sim.protocols.replication.crdt.registers import LwwRegister, MvRegister
from sim.protocols.replication.crdt.system import Crdt, CrdtNode

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
