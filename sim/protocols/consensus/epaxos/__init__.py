"""Egalitarian Paxos (Moraru, Andersen, Kaminsky, SOSP 2013): node, messages, execution, replica, invariants."""

from sim.protocols.consensus.epaxos.execution import Conflicts
from sim.protocols.consensus.epaxos.invariants import EPaxosSafety, epaxos_promises
from sim.protocols.consensus.epaxos.messages import ACCEPTED, COMMITTED, PREACCEPTED, UNKNOWN, Instance
from sim.protocols.consensus.epaxos.node import EPaxos
from sim.protocols.consensus.epaxos.replica import EgalitarianReplica, EgalitarianSystem

__all__ = [
    "ACCEPTED",
    "COMMITTED",
    "PREACCEPTED",
    "UNKNOWN",
    "Conflicts",
    "EPaxos",
    "EPaxosSafety",
    "EgalitarianReplica",
    "EgalitarianSystem",
    "Instance",
    "epaxos_promises",
]
