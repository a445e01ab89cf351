"""The Raft of figure 2 as a system: size, timing, leader, invariants. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.consensus.commit_latency import OfLog, RecordsCommits
from sim.protocols.consensus.raft.node import WINDOW, RaftNode
from sim.protocols.system import LedSystem, StateMachineSystem, names, newest
from sim.settings import Count
from sim.system import Invariant, positions

__all__ = ["BasicRaft"]


@dataclass(frozen=True, kw_only=True)
class BasicRaft(LedSystem, StateMachineSystem, RecordsCommits):
    """Raft of figure 2: no options beyond its size, and how much a message carries.

    Parameters
    ----------
    nodes:
        How many servers (>= 1), named n0, n1, ...
    window:
        The most entries in flight to one follower; further entries wait for an acknowledgement. All entries of a
        follower that is not far behind are in one message, so with a small window entries of earlier terms may arrive
        without the no-op that a leader appends after them.
    prefix:
        A prefix of their names, needed if several groups run in one cluster (`ShardedRaft`).
    leader:
        The server whose first election timeout is immediate; None: n0.
    record_commits:
        See `RecordsCommits`.
    heartbeat, detection:
        See `sim.system.System`. Election timeouts are uniform in [detection, 2 x detection) seconds.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {**LedSystem.safe_options, "nodes": (5, 3), "window": (WINDOW, WINDOW, 1, 3)}
    )
    outlives_minority: ClassVar[bool] = True

    nodes: Count = 5
    window: Count = WINDOW
    prefix: str = field(default="", repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the servers."""
        return names(f"{self.prefix}n", self.nodes)

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(RaftNode, OfLog)

    @property
    def consistency(self) -> str | None:
        """Reads go through the log."""
        return "linearizable"

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The live leader of the highest term."""
        return newest(nodes, RaftNode, lambda n: n.role == "leader", lambda n: (n.current_term, n.name))

    def invariants(self) -> Iterable[Invariant]:
        """The invariants of figure 3, and those from which they follow."""
        from sim.protocols.consensus.raft.invariants import raft_invariants

        return raft_invariants(self.application)

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many entries each server has applied."""
        return positions(nodes, RaftNode, "last_applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes are neither in the state nor in the log of the most up-to-date server."""
        servers = [node for node in nodes.values() if isinstance(node, RaftNode)]
        if not servers:
            return None
        best = max(servers, key=lambda node: (node.term_at(node.last_index()), node.last_index()))
        later = (best.entry_at(i).command for i in range(best.last_applied + 1, best.last_index() + 1))
        to_come = {(command.session, command.sequence) for command in later}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
