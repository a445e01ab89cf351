"""CASPaxos as a system: size, quorums, invariants. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from sim.invariants import Stored, once, promises
from sim.node import Node
from sim.protocols.client import Client, Reply
from sim.protocols.consensus.caspaxos.invariants import CasPaxosSafety
from sim.protocols.consensus.caspaxos.messages import Accept, Accepted, Promise
from sim.protocols.consensus.caspaxos.node import CasPaxosNode
from sim.protocols.consensus.commit_latency import OfRegisters, RecordsCommits
from sim.protocols.quorums import Majority, QuorumTest
from sim.protocols.system import KEEPS_REGISTERS, ReplicatedSystem
from sim.system import Invariant

__all__ = ["CasPaxos", "CasPaxosClient"]


class CasPaxosClient(Client):
    """Asks the nearest replica; the next one if that does not answer."""

    def learn(self, src: str, msg: Reply) -> None:
        """There is no leader to learn."""


@dataclass(frozen=True, kw_only=True)
class CasPaxos(ReplicatedSystem, RecordsCommits):
    """CASPaxos: linearizable registers that any replica changes, on ``nodes`` replicas.

    Parameters
    ----------
    nodes:
        The number of replicas, each of them proposer and acceptor.
    record_commits:
        See `RecordsCommits`.
    heartbeat, detection:
        What was not answered is sent again every ``heartbeat`` seconds. After a conflict a proposer waits up to
        ``heartbeat`` seconds, after several up to ``detection``.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({"nodes": (3, 5)})

    title: ClassVar[str] = "CASPaxos"

    operations: ClassVar[frozenset[str]] = frozenset({"get", "put", "cas", "append", "increment", "delete"})
    no_application: ClassVar[str] = KEEPS_REGISTERS

    consistency = "linearizable"
    outlives_minority: ClassVar[bool] = True

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(CasPaxosNode, OfRegisters)

    @property
    def client_class(self) -> type[Node]:
        return CasPaxosClient

    def quorum_test(self) -> QuorumTest:
        """Whether a set of acceptors is a majority."""
        return Majority().over(self.names)

    def invariants(self) -> Iterable[Invariant]:
        return (
            CasPaxosSafety(is_quorum=self.quorum_test()),
            promises(Promise, keeps="registers", shown=_promised),
            promises(Accepted, keeps="registers", shown=_accepted),
            once(Accept, per=("key", "ballot"), value="state"),
        )

    def progress(self, nodes: Mapping[str, Node]) -> None:
        """None: an acceptor that missed a write gets it with the next one for its key, if there is any."""

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """The number of acknowledged writes that no live acceptor has in the register of their key.

        None unless a majority is live. A later command of its session in that register may hide a write.
        """
        acceptors = {name: node for name, node in nodes.items() if isinstance(node, CasPaxosNode)}
        if not self.quorum_test()(acceptors.keys()):
            return None
        last: dict[tuple[int, int], None] = {}
        newest: dict[int, int] = {}
        for node in acceptors.values():
            for held in node.registers.values():
                for session, sequence, _ in held.state.done:
                    last[session, sequence] = None
                    newest[session] = max(sequence, newest.get(session, 0))
        return sum(1 for s, n in acknowledged if (s, n) not in last and n >= newest.get(s, 0))


def _promised(stored: Stored, promise: Promise, proposer: str) -> bool:
    held = stored("registers").get(promise.key)
    return held is not None and bool(held.promised >= promise.ballot)


def _accepted(stored: Stored, accepted: Accepted, proposer: str) -> bool:
    held = stored("registers").get(accepted.key)
    return held is not None and bool(held.accepted >= accepted.ballot)
