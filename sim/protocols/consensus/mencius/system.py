"""Mencius as a system: its size, how far it revokes ahead, what must hold. The protocol is in `mencius`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.node import Node
from sim.protocols.client import Client
from sim.protocols.consensus.commit_latency import OfTurns, RecordsCommits
from sim.protocols.consensus.mencius.invariants import MenciusSafety
from sim.protocols.consensus.mencius.node import MenciusNode
from sim.protocols.consensus.settings import at_least, names
from sim.protocols.quorums import Majority
from sim.system import Invariant, Member, positions

__all__ = ["Mencius"]


@dataclass(frozen=True, kw_only=True)
class Mencius(RecordsCommits):
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

    nodes: int = 5
    revoke_ahead: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("Mencius", "nodes", self.nodes, 1)
        at_least("Mencius", "revoke_ahead", self.revoke_ahead, 1)

    def members(self) -> tuple[Member, ...]:
        node_class = self.measured(MenciusNode, OfTurns)
        return tuple(Member(name, node_class) for name in names("n", self.nodes))

    @property
    def client_class(self) -> type[Node]:
        return Client

    @property
    def consistency(self) -> str | None:
        return "linearizable"

    def invariants(self) -> Iterable[Invariant]:
        enough = Majority().over(names("n", self.nodes))
        return (MenciusSafety(is_phase1_quorum=enough, is_phase2_quorum=enough, nodes=self.nodes),)

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many slots each replica has executed."""
        return positions(nodes, MenciusNode, "applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that neither the most advanced replica has executed nor any live one has accepted."""
        replicas = [node for node in nodes.values() if isinstance(node, MenciusNode)]
        if not replicas:
            return None
        best = max(replicas, key=lambda node: node.applied)
        held = [vote.command for node in replicas for s, vote in node.votes.items() if s > best.applied]
        to_come = {(command.session, command.sequence) for command in held}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
