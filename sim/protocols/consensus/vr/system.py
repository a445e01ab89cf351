"""Viewstamped Replication as a system: size, timing, leader, invariants. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from sim.invariants import stands_by
from sim.node import Node
from sim.protocols.consensus.commit_latency import OfViews, RecordsCommits
from sim.protocols.consensus.vr.invariants import ViewstampedSafety
from sim.protocols.consensus.vr.messages import Prepare, PrepareOk
from sim.protocols.consensus.vr.node import ViewstampedNode
from sim.protocols.consensus.vr.replica import NORMAL, RECOVERING
from sim.protocols.system import LedSystem, StateMachineSystem, newest
from sim.settings import Count
from sim.system import Invariant, positions

__all__ = ["ViewstampedReplication"]


@dataclass(frozen=True, kw_only=True)
class ViewstampedReplication(LedSystem, StateMachineSystem, RecordsCommits):
    """Viewstamped Replication Revisited with ``nodes`` replicas that store nothing on disk.

    Parameters
    ----------
    nodes:
        How many replicas, 2f + 1 of them (odd), named n0, n1, ...
    leader:
        The primary of the first view; None: n0.
    record_commits:
        See `RecordsCommits`.

    Raises ValueError for settings that cannot work.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {**LedSystem.safe_options, "nodes": (5, 3)}
    )

    nodes: Count = 5

    consistency = "linearizable"
    outlives_minority: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nodes % 2 == 0:
            raise ValueError(f"{type(self).__name__}: nodes must be odd, 2f + 1, not {self.nodes!r}")

    @property
    def max_down(self) -> int | None:
        """f: nothing is on disk, so if more than f replicas are down or recovering, the state may be lost."""
        return (self.nodes - 1) // 2

    @property
    def disks_may_be_lost(self) -> bool:
        """True: a replica that restarts always recovers from the others."""
        return True

    def has_recovered(self, node: Node) -> bool:
        """Whether a live replica has finished its recovery."""
        return not isinstance(node, ViewstampedNode) or node.status != RECOVERING

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(ViewstampedNode, OfViews)

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The live primary of the latest view."""
        return newest(nodes, ViewstampedNode, lambda n: n.is_primary, lambda n: n.view)

    def next_leader(self, nodes: Mapping[str, Node]) -> str | None:
        """The primary of the view after the latest one: views go round the replicas."""
        views = [node.view for node in nodes.values() if isinstance(node, ViewstampedNode)]
        return self.names[(max(views) + 1) % len(self.names)] if views else None

    def invariants(self) -> Iterable[Invariant]:
        first_view = self.names.index(self.first_leader)
        safety = ViewstampedSafety(members=self.names, first_view=first_view, application=self.application)
        return (safety, stands_by(_acknowledged, holds=_held))

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many requests each replica has executed."""
        return positions(nodes, ViewstampedNode, "applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes are neither executed nor in the log of the normal replica of the latest view."""
        normal = [n for n in nodes.values() if isinstance(n, ViewstampedNode) and n.status == NORMAL]
        if not normal:
            return None
        best = max(normal, key=lambda node: (node.view, node.op))
        to_come = {(c.session, c.sequence) for c in best.log[best.applied :]}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)


def _acknowledged(message: Any) -> tuple[int, int] | None:
    """The view, and how many of its operations the sender says that it has."""
    return (message.view, message.op) if isinstance(message, Prepare | PrepareOk) else None


def _held(node: Node) -> tuple[int, int] | None:
    """The view of a replica, and how many operations it has; None while it does not take part."""
    return (node.view, node.op) if isinstance(node, ViewstampedNode) and node.status == NORMAL else None
