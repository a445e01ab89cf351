"""Many Raft groups on the same machines: keys are spread over the groups, and each group has its own leader.

The *multi-Raft* of CockroachDB (Taft et al., "CockroachDB: The Resilient Geo-Distributed SQL Database", SIGMOD
2020, section 2) and TiKV (Huang et al., "TiDB: A Raft-based HTAP Database", VLDB 2020, section 4): data are split
into ranges. Each range is replicated by its own Raft group, and each machine runs servers of many groups. A leader
handles n messages per command (the request and n - 1 acknowledgements), a follower one. If all leaders are on one of
n machines, that machine is the bottleneck. If the leaders are spread over the machines, the machines share the load
evenly, 2n - 1 messages per command over n machines, and the throughput is n^2 / (2n - 1) times as high.

With ``placement``, the groups are on some of many machines each, as a fleet has them: a group's servers are placed at
random, or on copysets (`sim.placement`), and it matters which machines fail together.

Departures: keys are hashed to a fixed number of groups, which never split, merge or move; groups share the
machines' cores, but each server has its own disk; heartbeats of different groups are not merged; a leader that
an election moved to another machine is not moved back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.protocols.consensus.commit_latency import RecordsCommits
from sim.protocols.consensus.raft.basic import BasicRaft
from sim.protocols.consensus.raft.system import Raft
from sim.protocols.sharding import ShardedSystem
from sim.protocols.system import StateMachineSystem

__all__ = ["ShardedRaft"]


@dataclass(frozen=True, kw_only=True)
class ShardedRaft(ShardedSystem, RecordsCommits):
    """Keys hashed over Raft groups that share machines; see `ShardedSystem` for the other parameters.

    Parameters
    ----------
    group:
        The Raft of each group: its options apply to all groups.
    record_commits:
        See `RecordsCommits`; applies to all groups.
    """

    group: BasicRaft = field(default_factory=lambda: Raft(nodes=3))

    group_class: ClassVar[type[StateMachineSystem]] = BasicRaft

    def of_each(self) -> Mapping[str, Any]:
        return {"record_commits": self.record_commits or self.group.record_commits}
