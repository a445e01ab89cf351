"""Single-decree Paxos: one value is chosen, once.

Lamport, "Paxos Made Simple", ACM SIGACT News 32(4), 2001. Handlers keep the order and the names of section 2.

Assumptions: nodes crash and restart, messages are lost, duplicated, delayed and reordered, none is corrupted;
what an acceptor promised or accepted, and the last round of a proposer, survive on disk (section 2.5).

Departures:
- A proposer that is refused is told so, with the ballot that the acceptor has promised (section 2.3 suggests
  it: "it is probably a good idea to abandon a proposal ..."), and tries again after a random time.
- Flexible quorums (Howard, Malkhi, Spiegelman 2016): phases 1 and 2 may use different quorums that meet.
- Clients see a write-once register: a ``put`` proposes itself and succeeds if it is what was chosen, else it
  fails and tells the value that was; a ``get`` reads the chosen value. A get before anything is chosen runs
  phase 1: when no acceptor of a quorum has accepted anything, nothing was chosen when it was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from sim.message import message
from sim.node import Node, durable
from sim.protocols.client import Client, Reply, Request
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.paxos_invariants import PaxosSafety
from sim.protocols.consensus.settings import at_least, names, refuse_disjoint
from sim.protocols.kv import Command, KeyValueStore
from sim.protocols.quorums import QuorumSystem, QuorumTest, as_quorums
from sim.system import Invariant, Member, System

__all__ = [
    "Accept",
    "Accepted",
    "Acceptor",
    "Chosen",
    "Learner",
    "Nack",
    "Paxos",
    "PaxosNode",
    "Prepare",
    "Promise",
    "Proposer",
]


@message
class Prepare:
    """1a: will you promise to accept nothing below ``ballot``, and what have you accepted?"""

    ballot: Ballot


@message
class Promise:
    """1b: nothing below ``ballot`` any more; ``vote`` is the highest-numbered proposal accepted, if any."""

    ballot: Ballot
    vote: Vote | None


@message
class Accept:
    """2a: accept the proposal (ballot, command)."""

    ballot: Ballot
    command: Command


@message
class Accepted:
    """2b: the sender has accepted the proposal (ballot, command)."""

    ballot: Ballot
    command: Command


@message
class Nack:
    """``ballot`` is refused, because ``promised`` is higher."""

    ballot: Ballot
    promised: Ballot


@message
class Chosen:
    """The value of the decree, for learners."""

    command: Command


class Waiting(NamedTuple):
    """A client that waits for an answer to its command, asked when the proposer's round was ``since``."""

    client: str
    command: Command
    since: int


class Acceptor(Node):
    """Remembers what it promised and accepted, whatever happens to it."""

    settings: Paxos
    promised = durable(ZERO)
    vote: Vote | None = durable(None)

    def on_prepare(self, src: str, msg: Prepare) -> None:
        """Phase 1(b)."""
        if msg.ballot >= self.promised:
            self.promised = msg.ballot
            self.send(src, Promise(msg.ballot, self.vote))
        else:
            self.send(src, Nack(msg.ballot, self.promised))

    def on_accept(self, src: str, msg: Accept) -> None:
        """Phase 2(b): accept unless a higher-numbered prepare request has been answered."""
        if msg.ballot >= self.promised:
            self.promised = msg.ballot
            self.vote = Vote(msg.ballot, msg.command)
            self.broadcast(Accepted(msg.ballot, msg.command), to=self.settings.told_of(msg.ballot))
        else:
            self.send(src, Nack(msg.ballot, self.promised))


class Learner(Node):
    """Finds out that a proposal has been accepted by a quorum of acceptors (section 2.3)."""

    settings: Paxos

    def on_start(self) -> None:
        self.chosen: Command | None = None
        self.store = KeyValueStore()
        self.learnt_by = ZERO  # the ballot by which it learnt, if from acceptors
        self.voters: dict[Ballot, set[str]] = {}
        self.is_phase2_quorum: QuorumTest = self.settings.phase2_test()

    def on_accepted(self, src: str, msg: Accepted) -> None:
        if self.chosen is not None:
            self.remind(msg.ballot)
            return
        voters = self.voters.setdefault(msg.ballot, set())
        voters.add(src)
        if self.is_phase2_quorum(voters):
            self.learnt_by = msg.ballot
            self.record("chosen", ballot=str(msg.ballot), value=msg.command.value)
            self.learn(msg.command)
            if self.settings.must_tell(self.name, msg.ballot):
                others = [name for name in self.settings.learner_names if name != self.name]
                self.broadcast(Chosen(msg.command), to=others, hold=False)

    def remind(self, ballot: Ballot) -> None:
        """A later ballot: its proposer has missed what this learner was to tell it."""
        if ballot != self.learnt_by and self.settings.must_tell(self.name, ballot):
            assert self.chosen is not None
            self.send(ballot.proposer, Chosen(self.chosen), hold=False)

    def on_chosen(self, src: str, msg: Chosen) -> None:
        if self.chosen is None:
            self.learn(msg.command)

    def learn(self, command: Command) -> None:
        """The value is chosen, for ever."""
        self.chosen = command
        self.store.apply(command)


class Proposer(Learner):
    """Proposes its clients' values, with ever higher ballots, until one is chosen."""

    round = durable(0)  # the highest that this proposer has used: no ballot is used twice

    def on_start(self) -> None:
        super().on_start()
        self.waiting: dict[int, Waiting] = {}  # by session
        self.phase = 0  # 0: no ballot under way
        self.ballot = ZERO
        self.value: Command | None = None  # what the ballot proposes, in phase 2
        self.promises: dict[str, Vote | None] = {}
        self.highest_seen = 0
        self.refusals = 0
        self.is_phase1_quorum: QuorumTest = self.settings.phase1_test()
        heartbeat = self.settings.heartbeat or 0.05
        self.patience = self.settings.patience or 4 * heartbeat
        self.backoff = heartbeat if self.settings.backoff is None else self.settings.backoff

    def on_request(self, src: str, msg: Request) -> None:
        """A client's put proposes a value; a get wants to know it."""
        self.waiting[msg.command.session] = Waiting(src, msg.command, self.round)
        if self.chosen is not None:
            self.answer()
        elif self.phase == 0 and not self.refusals:
            self.propose()

    def propose(self) -> None:
        """Phase 1(a): a new number, higher than any seen, on disk before anybody hears of it."""
        self.round = max(self.round, self.highest_seen) + 1
        self.ballot = Ballot(self.round, self.name)
        self.phase = 1
        self.promises = {}
        self.record("role", role="candidate", ballot=str(self.ballot))
        self.set_timer("retry", self.random.uniform(1.0, 2.0) * self.patience)
        self.broadcast(Prepare(self.ballot), to=self.settings.acceptor_names)

    def on_promise(self, src: str, msg: Promise) -> None:
        """Phase 2(a), on crossing a quorum: the value of the highest-numbered proposal, or one's own."""
        if self.phase != 1 or msg.ballot != self.ballot:
            return
        self.promises[src] = msg.vote
        if not self.is_phase1_quorum(self.promises.keys()):
            return
        votes = [vote for vote in self.promises.values() if vote is not None]
        if votes:
            self.value = max(votes, key=lambda vote: vote.ballot).command
        else:
            self.answer_unwritten()
            self.value = next((w.command for w in self.waiting.values() if w.command.kind != "get"), None)
        if self.value is None:
            self.rest()
            if self.waiting:
                self.propose()
            return
        self.phase = 2
        self.record("role", role="leader", ballot=str(self.ballot))
        # Promises nothing about this node's disk but its round, which went there before the Prepare.
        self.broadcast(Accept(self.ballot, self.value), to=self.settings.acceptor_names, hold=False)

    def on_nack(self, src: str, msg: Nack) -> None:
        """Abandon the ballot; try a higher one after a random time, so that duels end."""
        self.highest_seen = max(self.highest_seen, msg.promised.round)
        if self.phase == 0 or msg.ballot != self.ballot:
            return
        self.phase = 0
        self.record("role", role="follower")
        self.set_timer("retry", self.random.random() * self.backoff * 2.0**self.refusals)
        self.refusals = min(self.refusals + 1, 5)

    def on_retry_timeout(self) -> None:
        """Refused a while ago, or unanswered for long: once more."""
        if self.chosen is None:
            self.propose()

    def learn(self, command: Command) -> None:
        super().learn(command)
        self.rest()
        self.answer()

    def rest(self) -> None:
        """No ballot is needed any more."""
        if self.phase:
            self.record("role", role="follower")
        self.phase = self.refusals = 0
        self.cancel_timer("retry")

    def answer(self) -> None:
        """Tell all waiting clients what was chosen, which is no secret of this node's disk."""
        assert self.chosen is not None
        for src, command, _ in self.waiting.values():
            session, sequence = command.session, command.sequence
            if command.kind == "get":
                reply = Reply(session, sequence, "ok", self.store.data.get(command.key))
            else:
                status = "ok" if command == self.chosen else "fail"
                reply = Reply(session, sequence, status, command.value, self.chosen.value)
            self.send(src, reply, hold=False)
        self.waiting.clear()

    def answer_unwritten(self) -> None:
        """No acceptor of a phase-1 quorum has accepted anything: gets may say that nothing was chosen.

        Only those that were asked before this ballot began: an acceptor may have promised, and then have
        accepted a higher ballot that was chosen, before a later get was asked.
        """
        for session, (src, command, since) in list(self.waiting.items()):
            if command.kind == "get" and since < self.round:
                self.send(src, Reply(session, command.sequence, "ok", None), hold=False)
                del self.waiting[session]


class PaxosNode(Proposer, Acceptor):
    """Proposer, acceptor and learner in one, as the paper's implementation has it (section 2.5)."""


@dataclass(frozen=True, kw_only=True)
class Paxos(System):
    """Single-decree Paxos.

    Parameters
    ----------
    nodes:
        How many nodes are proposer, acceptor and learner in one, unless the roles are given apart.
    proposers, acceptors, learners:
        The roles on nodes of their own: p0, ..., a0, ..., l0, ... Proposers learn, too.
    learning:
        How learners learn (section 2.3). ``"proposer"``: acceptors tell the proposer, which tells all
        learners; ``"broadcast"``: acceptors tell all learners; ``"distinguished"``: acceptors tell the first
        learner, which tells the others.
    phase1, phase2:
        Quorums of acceptors: a `QuorumSystem`, a count, or None for majorities. Every quorum of phase 1 must
        meet every quorum of phase 2.
    backoff:
        After its k-th refusal in a row a proposer waits a random time up to ``backoff * 2**k`` (seconds);
        None: one heartbeat. 0: it retries at once, and duels may go on for ever.
    patience:
        A ballot without an answer for one to two times this (seconds) is tried anew; None: 4 heartbeats.

    Raises ValueError for settings that cannot work, such as quorums that do not meet (unless ``unsafe``).
    """

    nodes: int = 5
    proposers: int | None = None
    acceptors: int | None = None
    learners: int | None = None
    learning: Literal["proposer", "broadcast", "distinguished"] = "proposer"
    phase1: QuorumSystem | int | None = None
    phase2: QuorumSystem | int | None = None
    backoff: float | None = None
    patience: float | None = None

    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_roles()
        if self.learning not in ("proposer", "broadcast", "distinguished"):
            raise ValueError(
                f"Paxos: learning must be 'proposer', 'broadcast' or 'distinguished', not {self.learning!r}"
            )
        if self.backoff is not None and not 0 <= self.backoff < float("inf"):
            raise ValueError(f"Paxos: backoff must be at least 0 s, not {self.backoff!r}")
        if self.patience is not None and not 0 < self.patience < float("inf"):
            raise ValueError(f"Paxos: patience must be positive seconds, not {self.patience!r}")
        refuse_disjoint(self, self.phase1, self.phase2, self.acceptor_names)

    def _check_roles(self) -> None:
        at_least("Paxos", "nodes", self.nodes, 1)
        if (self.proposers is None) != (self.acceptors is None):
            raise ValueError(
                f"Paxos: proposers and acceptors are given both or not at all, "
                f"not {self.proposers!r} and {self.acceptors!r}"
            )
        if self.proposers is None:
            if self.learners is not None:
                raise ValueError(f"Paxos: learners={self.learners!r} needs proposers and acceptors, too")
            return
        at_least("Paxos", "proposers", self.proposers, 1)
        at_least("Paxos", "acceptors", self.acceptors, 1)
        if self.learners is not None:
            at_least("Paxos", "learners", self.learners, 0)

    # Who is what

    @property
    def proposer_names(self) -> tuple[str, ...]:
        """Who proposes."""
        return names("n", self.nodes) if self.proposers is None else names("p", self.proposers)

    @property
    def acceptor_names(self) -> tuple[str, ...]:
        """Who accepts."""
        return names("n", self.nodes) if self.acceptors is None else names("a", self.acceptors)

    @property
    def learner_names(self) -> tuple[str, ...]:
        """Who learns; the first is the distinguished learner."""
        return tuple(dict.fromkeys((*names("l", self.learners or 0), *self.proposer_names)))

    def told_of(self, ballot: Ballot) -> tuple[str, ...]:
        """Whom an acceptor tells that it has accepted a proposal of this ballot."""
        if self.learning == "proposer":
            return (ballot.proposer,)
        return self.learner_names if self.learning == "broadcast" else self.learner_names[:1]

    def must_tell(self, learner: str, ballot: Ballot) -> bool:
        """Whether this learner, having learnt by a ballot, tells the others."""
        return self.learning != "broadcast" and learner == self.told_of(ballot)[0]

    def phase1_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 1."""
        return as_quorums(self.phase1).over(self.acceptor_names)

    def phase2_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 2."""
        return as_quorums(self.phase2).over(self.acceptor_names)

    # What the simulator asks of a system

    def members(self) -> tuple[Member, ...]:
        if self.proposers is None:
            return tuple(Member(name, PaxosNode) for name in self.acceptor_names)
        classes: list[tuple[type[Node], tuple[str, ...]]] = [
            (Proposer, self.proposer_names),
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
    def claims(self) -> str:
        return "linearizable"

    def invariants(self) -> Iterable[Invariant]:
        return (PaxosSafety(is_phase1_quorum=self.phase1_test(), is_phase2_quorum=self.phase2_test()),)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """A put that succeeded is kept if a learner knows it, or if a quorum would recover it."""
        for node in nodes.values():
            if isinstance(node, Learner) and node.chosen is not None:
                return len(node.store.missing(acknowledged))
        acceptors = {name: node for name, node in nodes.items() if isinstance(node, Acceptor)}
        if not self.phase1_test()(acceptors.keys()):
            return None
        votes = [node.vote for node in acceptors.values() if node.vote is not None]
        kept = max(votes, key=lambda vote: vote.ballot).command if votes else None
        return sum(1 for write in acknowledged if kept is None or write != (kept.session, kept.sequence))
