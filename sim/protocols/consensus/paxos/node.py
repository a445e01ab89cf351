"""Single-decree Paxos: one value is chosen, once.

Lamport, "Paxos Made Simple", ACM SIGACT News 32(4), 2001. Handlers keep the order and the names of section 2.

Assumptions: nodes crash and restart; messages are lost, duplicated, delayed and reordered, but not corrupted. The
promise and the vote of an acceptor, and the last round of a proposer, survive on disk (section 2.5).

Departures:
- An acceptor that refuses a proposer sends it the ballot that it has promised (section 2.3 suggests
  it: "it is probably a good idea to abandon a proposal ..."); the proposer tries again after a random time.
- Flexible quorums (Howard, Malkhi, Spiegelman 2016): phases 1 and 2 may use different quorums that intersect.
- Clients see a write-once register. A ``put`` proposes its command; it succeeds if this command is chosen, else it
  fails and returns the chosen value. A ``get`` reads the chosen value. A get before a value is chosen runs phase 1: if
  no acceptor of a quorum has accepted anything, no value was chosen when the get was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.message import message
from sim.node import Node, durable
from sim.protocols.client import Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.quorums import QuorumTest

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
    """1a: asks for a promise to accept nothing below ``ballot``, and for the accepted proposal."""

    ballot: Ballot


@message
class Promise:
    """1b: promises to accept nothing below ``ballot``; ``vote``: the accepted proposal with the highest number."""

    ballot: Ballot
    vote: Vote | None


@message
class Accept:
    """2a: asks to accept the proposal (ballot, command)."""

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
    """The chosen value, for learners."""

    command: Command


class Waiting(NamedTuple):
    """A client that waits for the answer to its command; ``since``: the proposer's round when the request came."""

    client: str
    command: Command
    since: int


class Acceptor(Node):
    """Remembers its promise and its accepted proposal on disk."""

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
        self.learnt_by = ZERO  # the ballot with which it learnt the value, if from acceptors
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
        """Votes for a later ballot: its proposer has missed the `Chosen` of this learner; send it again."""
        if ballot != self.learnt_by and self.settings.must_tell(self.name, ballot):
            assert self.chosen is not None
            self.send(ballot.proposer, Chosen(self.chosen), hold=False)

    def on_chosen(self, src: str, msg: Chosen) -> None:
        if self.chosen is None:
            self.learn(msg.command)

    def learn(self, command: Command) -> None:
        """The value is chosen; this never changes."""
        self.chosen = command


class Proposer(Learner):
    """Proposes its clients' values, with higher and higher ballots, until a value is chosen."""

    round = durable(0)  # the highest round that this proposer has used, so that it uses no ballot twice

    def on_start(self) -> None:
        super().on_start()
        self.waiting: dict[int, Waiting] = {}  # by session
        self.phase = 0  # 0: no open ballot
        self.ballot = ZERO
        self.value: Command | None = None  # the proposed value, in phase 2
        self.promises: dict[str, Vote | None] = {}
        self.highest_seen = 0
        self.refusals = 0
        self.is_phase1_quorum: QuorumTest = self.settings.phase1_test()
        heartbeat = self.settings.heartbeat_interval
        self.timeout = self.settings.timeout or 4 * heartbeat
        self.backoff = heartbeat if self.settings.backoff is None else self.settings.backoff

    def on_request(self, src: str, msg: Request) -> None:
        """A client's put proposes a value; a get reads the chosen value."""
        self.waiting[msg.command.session] = Waiting(src, msg.command, self.round)
        if self.chosen is not None:
            self.answer()
        elif self.phase == 0 and not self.refusals:
            self.propose()

    def propose(self) -> None:
        """Phase 1(a): a new number, higher than all seen ones, on disk before the Prepare leaves."""
        self.round = max(self.round, self.highest_seen) + 1
        self.ballot = Ballot(self.round, self.name)
        self.phase = 1
        self.promises = {}
        self.record("role", role="candidate", ballot=str(self.ballot))
        self.set_timer("retry", self.random.uniform(1.0, 2.0) * self.timeout)
        self.broadcast(Prepare(self.ballot), to=self.settings.acceptor_names)

    def on_promise(self, src: str, msg: Promise) -> None:
        """Phase 2(a), when a quorum is complete: propose the value of the highest-numbered vote, or the own value."""
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
        # hold=False: it depends only on the round on this node's disk, which was there before the Prepare.
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
        """The ballot was refused, or not answered in time: propose again."""
        if self.chosen is None:
            self.propose()

    def learn(self, command: Command) -> None:
        super().learn(command)
        self.rest()
        self.answer()

    def rest(self) -> None:
        """End the ballot: it is not needed any more."""
        if self.phase:
            self.record("role", role="follower")
        self.phase = self.refusals = 0
        self.cancel_timer("retry")

    def answer(self) -> None:
        """Answer all waiting clients. The chosen value is safe at a quorum, so replies need not wait for this disk."""
        assert self.chosen is not None
        for src, command, _ in self.waiting.values():
            session, sequence = command.session, command.sequence
            if command.kind == "get":
                value = self.chosen.value if command.key == self.chosen.key else None
                reply = Reply(session, sequence, "ok", value)
            else:
                status = "ok" if command == self.chosen else "fail"
                reply = Reply(session, sequence, status, command.value, self.chosen.value)
            self.send(src, reply, hold=False)
        self.waiting.clear()

    def answer_unwritten(self) -> None:
        """No acceptor of a phase-1 quorum has accepted a proposal: answer waiting gets that no value is chosen.

        This is correct only for gets that came before this ballot began: after its promise, an acceptor may have
        accepted a higher ballot, which may have been chosen before a later get was sent.
        """
        for session, (src, command, since) in list(self.waiting.items()):
            if command.kind == "get" and since < self.round:
                self.send(src, Reply(session, command.sequence, "ok", None), hold=False)
                del self.waiting[session]


class PaxosNode(Proposer, Acceptor):
    """Proposer, acceptor and learner in one node, as in the paper's implementation (section 2.5)."""
