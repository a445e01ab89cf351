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

from typing import TYPE_CHECKING, NamedTuple

from sim.message import message
from sim.node import Node, durable
from sim.protocols.client import Reply, Request
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.kv import Command, KeyValueStore
from sim.protocols.quorums import QuorumTest
from sim.protocols.sessions import Sessions

if TYPE_CHECKING:
    from sim.protocols.consensus.paxos.system import Paxos

__all__ = [
    "Accept",
    "Accepted",
    "Acceptor",
    "Chosen",
    "Learner",
    "Nack",
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
        self.store = Sessions(KeyValueStore())
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
        heartbeat = self.settings.heartbeat_interval
        self.timeout = self.settings.timeout or 4 * heartbeat
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
        self.set_timer("retry", self.random.uniform(1.0, 2.0) * self.timeout)
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
                reply = Reply(session, sequence, "ok", self.store.execute(command).value)
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
