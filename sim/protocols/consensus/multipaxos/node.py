"""Multi-Paxos: a sequence of Paxos instances (slots) led by one proposer, which runs phase 1 once for all of them.

Lamport, "Paxos Made Simple" (2001), section 3. Handlers follow the phases: election, phase 1 and the recovery of
values, phase 2.

Assumptions: as in single-decree Paxos; the promise and the votes of an acceptor survive on disk.

Learning, applying and catching up are in `learning`; leases, batches, the window and compaction in
`options`; the system, with its quorums, in `system`.

Departures from the papers, and decisions that the papers leave open:
- The leader is the replica that last completed phase 1. It sends heartbeats; a replica that misses them for one to two
  detection timeouts campaigns with a higher ballot.
- The leader is an acceptor, too: it accepts its own proposals at once; its vote counts when it is on its disk.
- Flexible quorums (Howard, Malkhi, Spiegelman 2016): phases 1 and 2 may use different quorums that intersect.
"""

from __future__ import annotations

from sim.protocols.client import Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import Ballot, Vote
from sim.protocols.consensus.multipaxos.learning import SlotLearner
from sim.protocols.consensus.multipaxos.messages import (
    Accept,
    Accepted,
    Heartbeat,
    Nack,
    Prepare,
    Promise,
)
from sim.protocols.quorums import QuorumTest

__all__ = ["MultiPaxosNode"]

_RESENT_AT_ONCE = 100  # the most unanswered proposals that are sent again with one heartbeat


class MultiPaxosNode(SlotLearner):
    """Proposer, acceptor and learner in one node."""

    def on_start(self) -> None:
        self.highest_seen = self.promised.round
        self.promises: dict[str, Promise] = {}
        self.open: dict[int, set[str]] = {}  # slot proposed and not yet chosen -> acceptors that voted
        self.next_slot = 1
        self.recovered_to = 0  # the last slot that this leader's phase 1 recovered
        self.resend_below = self.resend_next = 0
        self.first_asked = self.peers  # the acceptors that get a new proposal at once
        self.early: list[tuple[str, Request]] = []  # requests that arrived during phase 1
        self.is_phase1_quorum: QuorumTest = self.settings.phase1_test()
        self.is_phase2_quorum: QuorumTest = self.settings.phase2_test()
        super().on_start()
        if self.incarnation == 0 and self.name == self.settings.first_leader:
            self.campaign()
        else:
            self.expect_leader()

    # Election: a replica that receives no messages of a leader campaigns

    def expect_leader(self) -> None:
        """Wait a random time for a message of a leader or candidate, before campaigning."""
        self.set_timer("election", self.random.uniform(self.detection, 2 * self.detection))

    def on_election_timeout(self) -> None:
        self.campaign()

    def campaign(self) -> None:
        """Phase 1(a): a ballot above all seen ones. The own promise makes the ballot durable."""
        round_number = max(self.promised.round, self.highest_seen) + 1
        self.ballot = self.promised = Ballot(round_number, self.name)
        self.become("candidate")
        self.leader = None
        self.promises = {}
        self.broadcast(Prepare(self.ballot, self.applied + 1))
        self.send(self.name, self.promise(self.ballot, self.applied + 1))
        self.set_timer("heartbeat", 2 * self.heartbeat)
        self.expect_leader()

    def repeat_prepare(self) -> None:
        """Send the Prepare again to replicas that have not promised."""
        missing = [name for name in self.peers if name not in self.promises]
        self.broadcast(Prepare(self.ballot, self.applied + 1), to=missing)

    def become(self, role: str) -> None:
        """Change the role."""
        self.role = role
        self.record("role", role=role, ballot=str(self.ballot if role != "follower" else self.promised))

    def step_down(self) -> None:
        """There is a higher ballot: redirect the waiting clients, which retry with the same session and number."""
        self.become("follower")
        self.cancel_timer("heartbeat")
        self.expect_leader()
        self.open = {}
        self.redirect_all()
        early, self.early = self.early, []
        for client, request in early:
            self.on_request(client, request)

    # Phase 1

    def on_prepare(self, src: str, msg: Prepare) -> None:
        """Phase 1(b)."""
        if msg.ballot < self.promised:
            self.send(src, Nack(msg.ballot, self.promised))
            return
        if msg.ballot > self.promised:
            self.promised = msg.ballot
            if self.role != "follower":
                self.step_down()
            self.leader = None
        self.expect_leader()
        self.send(src, self.promise(msg.ballot, msg.first))

    def promise(self, ballot: Ballot, first: int) -> Promise:
        """The answer to a Prepare: all votes in the slots from ``first``."""
        slots = range(first, self.last_slot + 1)
        return Promise(ballot, first, tuple([(s, self.votes[s]) for s in slots if s in self.votes]))

    def on_promise(self, src: str, msg: Promise) -> None:
        if self.role != "candidate" or msg.ballot != self.ballot:
            return
        self.promises[src] = msg
        if self.is_phase1_quorum(self.promises.keys()):
            self.lead()

    def lead(self) -> None:
        """Phase 1 is over for all slots: propose again all commands that may have been chosen, and fill the gaps.

        A slot without votes in the quorum is free. The leader proposes a no-op for it, because later slots cannot be
        applied before it (section 3).
        """
        first = self.applied + 1
        recovered: dict[int, Vote] = {}
        for promise in self.promises.values():
            for slot, vote in promise.votes:
                if slot >= first and (slot not in recovered or vote.ballot > recovered[slot].ballot):
                    recovered[slot] = vote
        self.next_slot = max(recovered, default=self.applied) + 1
        self.recovered_to = self.next_slot - 1
        self.resend_below, self.resend_next = first, self.next_slot
        self.leader = self.name
        self.become("leader")
        self.record("elected", ballot=str(self.ballot), recovered=len(recovered))
        self.cancel_timer("election")
        for slot in range(first, self.next_slot):
            self.propose(slot, recovered[slot].command if slot in recovered else NOOP)
        self.on_heartbeat_timeout()
        early, self.early = self.early, []
        for client, request in early:
            self.on_request(client, request)

    def on_nack(self, src: str, msg: Nack) -> None:
        """A replica has promised a higher ballot: step down."""
        self.highest_seen = max(self.highest_seen, msg.promised.round)
        if self.role != "follower" and msg.ballot == self.ballot:
            self.step_down()

    # Phase 2

    def on_request(self, src: str, msg: Request) -> None:
        """A client's command: the leader proposes it in the next free slot."""
        command = msg.command
        if self.role == "candidate":
            self.early.append((src, msg))
        elif self.role == "follower":
            self.redirect(src, command, self.leader)
        elif self.begins(src, command):
            self.assign(command)

    def assign(self, command: Command) -> None:
        """Give a command the next free slot."""
        slot = self.next_slot
        self.next_slot += 1
        self.propose(slot, command)

    def propose(self, slot: int, command: Command) -> None:
        """Phase 2(a). It depends only on the ballot on this node's disk, so the Accept leaves at once."""
        self.open[slot] = set()
        self.broadcast(Accept(self.ballot, slot, command, self.applied), to=self.first_asked, hold=False)
        self.accept(self.name, self.ballot, slot, command)

    def on_accept(self, src: str, msg: Accept) -> None:
        """Phase 2(b): accept unless a higher ballot is promised."""
        ballot, slot = msg.ballot, msg.slot
        if ballot < self.promised:
            self.send(src, Nack(ballot, self.promised))
            return
        self.follow(src, ballot)
        if ballot > self.promised:
            self.promised = ballot
        self.accept(src, ballot, slot, msg.command)
        if slot <= self.commit_heard and ballot == self.commit_ballot and slot > self.applied:
            self.chosen.add(slot)
        self.hear_commit(ballot, msg.commit)

    def accept(self, leader: str, ballot: Ballot, slot: int, command: Command) -> None:
        """Vote for a command; the vote is on disk before the `Accepted` leaves."""
        self.votes[slot] = Vote(ballot, command)
        if slot > self.last_slot:
            self.last_slot = slot
        if self.executed < self.applied:
            self.executed = self.applied  # in the same record as the vote, so it needs no sync of its own
        self.send(leader, Accepted(ballot, slot))

    def on_accepted(self, src: str, msg: Accepted) -> None:
        """A quorum's votes choose the command."""
        voters = self.open.get(msg.slot)
        if voters is None or msg.ballot != self.ballot:
            return
        voters.add(src)
        if self.is_phase2_quorum(voters):
            del self.open[msg.slot]
            if msg.slot > self.applied:  # else it was already applied
                self.chosen.add(msg.slot)
            self.advance()

    def on_heartbeat_timeout(self) -> None:
        """The leader sends heartbeats, and sends old unanswered proposals again; a candidate sends Prepare again."""
        self.set_timer("heartbeat", self.heartbeat)
        if self.role == "candidate":
            self.repeat_prepare()
            return
        self.beat()
        for slot, voters in list(self.open.items())[:_RESENT_AT_ONCE]:
            if slot < self.resend_below:  # older than a whole heartbeat
                self.ask_again(slot, voters)
        self.resend_below, self.resend_next = self.resend_next, self.next_slot

    def ask_again(self, slot: int, voters: set[str]) -> None:
        """Send a proposal to all acceptors that have not voted for it, also to those that were not asked before."""
        again = Accept(self.ballot, slot, self.votes[slot].command, self.applied)
        self.broadcast(again, to=[name for name in self.peers if name not in voters], hold=False)

    def beat(self) -> None:
        """Send the heartbeat, with the commit index."""
        self.broadcast(Heartbeat(self.ballot, self.applied), hold=False)

    def on_heartbeat(self, src: str, msg: Heartbeat) -> None:
        if msg.ballot < self.promised:
            self.send(src, Nack(msg.ballot, self.promised))
            return
        self.follow(src, msg.ballot)
        self.hear_commit(msg.ballot, msg.commit)

    def follow(self, leader: str, ballot: Ballot) -> None:
        """A message of a leader has arrived, whose ballot is not below the promised one."""
        self.leader = leader
        if self.role != "follower":
            self.step_down()
        else:
            self.expect_leader()

    def gauges(self) -> dict[str, float]:
        """Gauges for the frame ``samples``."""
        return {"applied": self.applied, "log": len(self.votes), "open slots": len(self.open)}
