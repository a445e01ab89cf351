"""What every kind of lease promises: while one leader may answer reads by it, no other leader commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.protocols.consensus.raft.invariants.history import RaftInvariant

__all__ = ["LeaseExcludes"]


@dataclass
class LeaseExcludes(RaftInvariant):
    """While a leader may answer reads by its lease, no other server commits what no server has committed before."""

    furthest: int = 0  # the highest commit index of any server, so far

    def may_read(self, other: Any, node: Any) -> bool:
        """Whether ``other``, which leads, too, may answer reads by its lease while ``node`` commits."""
        raise NotImplementedError

    def lease_of(self, other: Any) -> str:
        """The lease of ``other``, in words."""
        raise NotImplementedError

    def check(self, node: Any) -> None:
        before, self.furthest = self.furthest, max(self.furthest, node.commit_index)
        if node.role != "leader" or self.furthest == before:
            return
        for name, server in self.history.servers.items():
            other: Any = server.node
            alive = other.host.disk is server.disk
            if alive and other.role == "leader" and self.may_read(other, node):
                self.violated(
                    (name, node.name),
                    f"{name} leads in term {other.current_term}{self.lease_of(other)}",
                    f"{node.name} commits in term {node.current_term}",
                )
