"""The Raft of figure 2 as a system: its size, its times, who leads, what must hold. See `raft` for the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.node import Node
from sim.protocols.client import Client
from sim.protocols.consensus.commit_latency import OfLog, RecordsCommits
from sim.protocols.consensus.raft.node import RaftNode
from sim.protocols.consensus.settings import at_least, names
from sim.system import Invariant, Member, positions

__all__ = ["BasicRaft"]


@dataclass(frozen=True, kw_only=True)
class BasicRaft(RecordsCommits):
    """Raft of figure 2: no options beyond its size.

    Parameters
    ----------
    nodes:
        How many servers (>= 1), named n0, n1, ...
    prefix:
        What their names begin with, where several groups run side by side (`ShardedRaft`).
    leader:
        The server whose first election timeout is immediate; None: n0.
    record_commits:
        See `RecordsCommits`.
    heartbeat, detection, unsafe:
        See `sim.system.System`. Election timeouts are uniform in [detection, 2 x detection) seconds.
    """

    nodes: int = 5
    leader: str | None = None
    prefix: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(type(self).__name__, "nodes", self.nodes, 1)
        if self.leader is not None and self.leader not in self.names:
            raise ValueError(
                f"{type(self).__name__}: leader must be one of {', '.join(self.names)}, not {self.leader!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the servers."""
        return names(f"{self.prefix}n", self.nodes)

    def members(self) -> tuple[Member, ...]:
        """The servers."""
        node_class = self.measured(RaftNode, OfLog)
        return tuple(Member(name, node_class) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        """Clients that follow redirects to the leader."""
        return Client

    @property
    def consistency(self) -> str | None:
        """Reads go through the log."""
        return "linearizable"

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """The live leader of the highest term."""
        if role not in self.leader_roles:
            return super().holder(role, nodes)
        leaders = [(node.current_term, name) for name, node in _servers(nodes) if node.role == "leader"]
        return max(leaders)[1] if leaders else None

    def invariants(self) -> Iterable[Invariant]:
        """The invariants of figure 3, and what they rest on."""
        from sim.protocols.consensus.raft.invariants import raft_invariants

        return raft_invariants()

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many entries each server has applied."""
        return positions(nodes, RaftNode, "last_applied")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that are neither in the state nor in the log of the most up-to-date server."""
        servers = [node for _, node in _servers(nodes)]
        if not servers:
            return None
        best = max(servers, key=lambda node: (node.term_at(node.last_index()), node.last_index()))
        later = (best.entry_at(i).command for i in range(best.last_applied + 1, best.last_index() + 1))
        to_come = {(command.session, command.sequence) for command in later}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)


def _servers(nodes: Mapping[str, Node]) -> list[tuple[str, RaftNode]]:
    return [(name, node) for name, node in nodes.items() if isinstance(node, RaftNode)]
