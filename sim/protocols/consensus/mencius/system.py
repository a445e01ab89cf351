"""Mencius as a system: size, options, invariants. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.consensus.commit_latency import OfTurns, RecordsCommits
from sim.protocols.consensus.mencius.invariants import MenciusSafety, mencius_promises
from sim.protocols.consensus.mencius.node import MenciusNode
from sim.protocols.quorums import Majority
from sim.protocols.system import ReplicatedSystem, StateMachineSystem
from sim.settings import Count
from sim.system import Invariant, positions

__all__ = ["Mencius"]


@dataclass(frozen=True, kw_only=True)
class Mencius(ReplicatedSystem, StateMachineSystem, RecordsCommits):
    """Mencius with skips.

    Parameters
    ----------
    nodes:
        How many replicas; each coordinates every ``nodes``-th slot. Clients use the nearest.
    revoke_ahead:
        How many slots of a suspected coordinator are revoked at once, beyond those in use (beta, section 4.4).
    record_commits:
        See `RecordsCommits`.

    Raises ValueError for settings that cannot work.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (5, 3), "revoke_ahead": (50, 5)}
    )

    nodes: Count = 5
    revoke_ahead: Count = 50

    consistency = "linearizable"
    outlives_minority: ClassVar[bool] = True

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(MenciusNode, OfTurns)

    def invariants(self) -> Iterable[Invariant]:
        enough = Majority().over(self.names)
        safety = MenciusSafety(
            is_phase1_quorum=enough,
            is_phase2_quorum=enough,
            nodes=self.nodes,
            application=self.application,
        )
        return (safety, *mencius_promises(self.nodes))

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many slots each replica has executed."""
        return positions(nodes, MenciusNode, "applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes the most advanced replica has not executed and no live one has accepted."""
        replicas = [node for node in nodes.values() if isinstance(node, MenciusNode)]
        if not replicas:
            return None
        best = max(replicas, key=lambda node: node.applied)
        held = [vote.command for node in replicas for s, vote in node.votes.items() if s > best.applied]
        to_come = {(command.session, command.sequence) for command in held}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
