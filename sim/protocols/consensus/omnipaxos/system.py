"""Omni-Paxos as a system: size, timing, leader, invariants. The protocol is in `node` and `ble`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from sim.invariants import Stored, promises
from sim.node import Node
from sim.protocols.consensus.commit_latency import OfSequence, RecordsCommits
from sim.protocols.consensus.omnipaxos.invariants import OmniPaxosSafety
from sim.protocols.consensus.omnipaxos.messages import Accepted, Promise
from sim.protocols.consensus.omnipaxos.node import ACCEPT, LEADER, OmniPaxosNode
from sim.protocols.system import LedSystem, StateMachineSystem, newest
from sim.settings import Count
from sim.system import Invariant, positions

__all__ = ["OmniPaxos"]


@dataclass(frozen=True, kw_only=True)
class OmniPaxos(LedSystem, StateMachineSystem, RecordsCommits):
    """Omni-Paxos: it makes progress while one server is connected to a majority.

    Parameters
    ----------
    nodes:
        The number of servers.
    leader:
        The server whose ballot is elected from the start; None: the first.
    record_commits:
        See `RecordsCommits`.
    heartbeat, detection:
        A round of the election lasts ``detection`` seconds; a leader that crashes is replaced in the third round that
        ends after it, at the latest. What was not answered is sent again every ``heartbeat`` seconds.
    """

    title: ClassVar[str] = "Omni-Paxos"

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {**LedSystem.safe_options, "nodes": (5, 3)}
    )

    nodes: Count = 5

    consistency = "linearizable"
    outlives_minority: ClassVar[bool] = True

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(OmniPaxosNode, OfSequence)

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The live leader of the latest round."""
        return newest(
            nodes, OmniPaxosNode, lambda n: n.role == LEADER and n.phase == ACCEPT, lambda n: n.round
        )

    def invariants(self) -> Iterable[Invariant]:
        return (
            OmniPaxosSafety(members=self.names, application=self.application),
            promises(Promise, keeps="promised", shown=lambda stored, m, _: stored("promised") >= m.ballot),
            promises(Accepted, keeps=("accepted_round", "log"), shown=_accepted),
        )

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """The number of entries that each server has applied."""
        return positions(nodes, OmniPaxosNode, "applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """The number of acknowledged writes that are neither applied nor in the log of the most advanced server."""
        servers = [node for node in nodes.values() if isinstance(node, OmniPaxosNode)]
        if not servers:
            return None
        best = max(servers, key=lambda node: (node.accepted_round, len(node.log)))
        to_come = {(command.session, command.sequence) for command in best.log[best.applied :]}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)


def _accepted(stored: Stored, accepted: Accepted, leader: str) -> bool:
    """Whether the disk has so many entries of this round, or a log of a later round."""
    held = (stored("accepted_round"), len(stored("log")))
    return held >= (accepted.ballot, accepted.log_index)
