"""Single-decree Paxos as a system: roles, quorums, invariants. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.invariants import once, promises
from sim.node import Node
from sim.protocols.client import Client
from sim.protocols.consensus.ballot import Ballot, Vote
from sim.protocols.consensus.commit_latency import OfDecree, RecordsCommits
from sim.protocols.consensus.paxos.invariants import PaxosSafety
from sim.protocols.consensus.paxos.node import (
    Accept,
    Accepted,
    Acceptor,
    Learner,
    PaxosNode,
    Prepare,
    Promise,
    Proposer,
)
from sim.protocols.quorum_measures import most_gone
from sim.protocols.quorums import QuorumSystem, QuorumTest, as_quorums, refuse_disjoint
from sim.protocols.system import names
from sim.settings import Count, Seconds, Wait, Whole
from sim.system import Invariant, Member

__all__ = ["Paxos"]


@dataclass(frozen=True, kw_only=True)
class Paxos(RecordsCommits):
    """Single-decree Paxos.

    Parameters
    ----------
    nodes:
        The number of nodes that are proposer, acceptor and learner, unless the roles are on separate nodes.
    proposers, acceptors, learners:
        The numbers of separate nodes for the roles: p0, ..., a0, ..., l0, ... Proposers are learners, too.
    learning:
        How learners learn (section 2.3). ``"proposer"``: acceptors tell the proposer, which tells all
        learners; ``"broadcast"``: acceptors tell all learners; ``"distinguished"``: acceptors tell the first
        learner, which tells the others.
    phase1, phase2:
        Quorums of acceptors: a `QuorumSystem`, a count, or None for majorities. Every quorum of phase 1 must
        intersect every quorum of phase 2.
    backoff:
        After its k-th refusal in a row (k up to 6), a proposer waits a random time up to ``backoff * 2**(k-1)``
        (seconds). None: one heartbeat. 0: it retries at once, and duels may go on forever.
    timeout:
        A proposer begins a new ballot if one is open for a random time of one to two times this (seconds); None: 4
        heartbeats.
    record_commits:
        See `RecordsCommits`.

    Raises ValueError for settings that cannot work, such as quorums that do not intersect (unless ``unsafe``).
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (5, 3), "learning": ("proposer", "broadcast", "distinguished")}
    )

    nodes: Count = 5
    proposers: Count | None = None
    acceptors: Count | None = None
    learners: Whole | None = None
    learning: Literal["proposer", "broadcast", "distinguished"] = "proposer"
    phase1: QuorumSystem | int | None = None
    phase2: QuorumSystem | int | None = None
    backoff: Wait | None = None
    timeout: Seconds | None = None

    no_application: ClassVar[str] = "it chooses one value, once; MultiPaxos chooses a sequence of commands"
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})
    may_fail: ClassVar[frozenset[str]] = frozenset({"put"})  # one value is chosen, once

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_roles()
        refuse_disjoint(self, ("phase1", "phase2"), ("phase-1", "phase-2"), self.acceptor_names)

    def _check_roles(self) -> None:
        if (self.proposers is None) != (self.acceptors is None):
            raise ValueError(
                f"Paxos: proposers and acceptors are given both or not at all, "
                f"not {self.proposers!r} and {self.acceptors!r}"
            )
        if self.proposers is None:
            if self.learners is not None:
                raise ValueError(f"Paxos: learners={self.learners!r} needs proposers and acceptors, too")
            return

    # Roles

    @property
    def proposer_names(self) -> tuple[str, ...]:
        """The names of the proposers."""
        return names("n", self.nodes) if self.proposers is None else names("p", self.proposers)

    @property
    def acceptor_names(self) -> tuple[str, ...]:
        """The names of the acceptors."""
        return names("n", self.nodes) if self.acceptors is None else names("a", self.acceptors)

    @property
    def learner_names(self) -> tuple[str, ...]:
        """The names of the learners; the first is the distinguished learner."""
        return tuple(dict.fromkeys((*names("l", self.learners or 0), *self.proposer_names)))

    def told_of(self, ballot: Ballot) -> tuple[str, ...]:
        """The nodes to which an acceptor sends `Accepted` for this ballot."""
        if self.learning == "proposer":
            return (ballot.proposer,)
        return self.learner_names if self.learning == "broadcast" else self.learner_names[:1]

    def must_tell(self, learner: str, ballot: Ballot) -> bool:
        """Whether this learner, after it has learnt by this ballot, tells the other learners."""
        return self.learning != "broadcast" and learner == self.told_of(ballot)[0]

    def phase1_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 1."""
        return as_quorums(self.phase1).over(self.acceptor_names)

    def phase2_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 2."""
        return as_quorums(self.phase2).over(self.acceptor_names)

    # Used by the simulator

    @property
    def max_gone(self) -> int:
        """As many as leave a quorum of each phase, whichever they are.

        None if roles are on nodes of their own, or if one distinguished learner tells the others.
        """
        if self.proposers is not None or self.learning == "distinguished":
            return 0
        return most_gone(self.acceptor_names, self.phase1, self.phase2)

    def members(self) -> tuple[Member, ...]:
        if self.proposers is None:
            node_class = self.measured(PaxosNode, OfDecree)
            return tuple(Member(name, node_class) for name in self.acceptor_names)
        classes: list[tuple[type[Node], tuple[str, ...]]] = [
            (self.measured(Proposer, OfDecree), self.proposer_names),
            (Acceptor, self.acceptor_names),
            (Learner, names("l", self.learners or 0)),
        ]
        return tuple(Member(name, node_class) for node_class, group in classes for name in group)

    def contacts(self) -> tuple[str, ...]:
        return self.proposer_names

    @property
    def client_class(self) -> type[Client]:
        return Client

    @property
    def consistency(self) -> str:
        return "linearizable"

    def invariants(self) -> Iterable[Invariant]:
        return (
            PaxosSafety(is_phase1_quorum=self.phase1_test(), is_phase2_quorum=self.phase2_test()),
            promises(Promise, keeps="promised", shown=lambda stored, m, _: stored("promised") >= m.ballot),
            promises(Accepted, keeps="vote", shown=lambda stored, m, _: _voted(stored("vote"), m.ballot)),
            once(Prepare, per="ballot", value=("src", "incarnation")),
            once(Accept, per="ballot", value="command"),
        )

    def progress(self, nodes: Mapping[str, Node]) -> None:
        """None: a learner that missed the message may never learn, unless a proposer runs a ballot (section 2.3)."""

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """The number of puts that succeeded, but that no live learner knows and no quorum would recover."""
        for node in nodes.values():
            if isinstance(node, Learner) and node.chosen is not None:
                chosen = (node.chosen.session, node.chosen.sequence)
                return sum(1 for identity in acknowledged if identity != chosen)
        acceptors = {name: node for name, node in nodes.items() if isinstance(node, Acceptor)}
        if not self.phase1_test()(acceptors.keys()):
            return None
        votes = [node.vote for node in acceptors.values() if node.vote is not None]
        kept = max(votes, key=lambda vote: vote.ballot).command if votes else None
        return sum(1 for write in acknowledged if kept is None or write != (kept.session, kept.sequence))


def _voted(vote: Vote | None, ballot: Ballot) -> bool:
    """Whether an acceptor has voted in this ballot or a later one."""
    return vote is not None and vote.ballot >= ballot
