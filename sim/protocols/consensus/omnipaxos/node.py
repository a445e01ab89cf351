"""Omni-Paxos: Sequence Paxos, which decides a growing log, under the leader that Ballot Leader Election elects.

Ng, Haridi, Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity" (EuroSys 2023), section 4. The
election is in `ble`. Handlers follow the phases: Prepare, in which the leader of a round adopts the log of the latest
round among a majority, and Accept, in which it extends it.

In a round only the leader orders entries, and each follower's log is a prefix of the leader's. So one number says what
a follower has accepted, and what is decided. A leader need not be up to date: it gets what it lacks with the promises.

Assumptions: servers crash and restart with their disks.

Departures from the paper:

- The paper assumes links that lose nothing and keep the order within a session. Here messages say at which index they
  begin, a follower keeps entries that overtook others, and the leader repeats with each heartbeat what was not
  answered, and the last Decide.
- A late AcceptSync never shortens what a follower has accepted in that round.
- A leader counts its own promise and its own acceptance when its disk has them.
- A follower redirects a client to the leader; the paper's servers forward the command.
- How many entries are decided is written with the next entries. A server that restarts learns the rest again.
- Reconfiguration by stop-signs (section 6) and log compaction are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.node import durable, durable_log, part
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.omnipaxos.ble import BallotLeaderElection
from sim.protocols.consensus.omnipaxos.messages import (
    Accept,
    Accepted,
    AcceptSync,
    Decide,
    Prepare,
    PrepareRequest,
    Promise,
)
from sim.protocols.replica import Replica

if TYPE_CHECKING:
    from sim.protocols.consensus.omnipaxos.system import OmniPaxos

__all__ = ["ACCEPT", "FOLLOWER", "LEADER", "PREPARE", "RECOVER", "OmniPaxosNode"]

FOLLOWER, LEADER = "follower", "leader"
PREPARE, ACCEPT, RECOVER = "prepare", "accept", "recover"

_RESENT_AT_ONCE = 100  # the most entries that are sent again in one message


class OmniPaxosNode(Replica):
    """A server: leader or follower, in the Prepare or the Accept phase, or recovering after a restart."""

    settings: OmniPaxos
    reply_waits_for_disk = False  # the command is decided, so it is safe without this node's disk

    election = part(BallotLeaderElection)

    promised = durable(ZERO)
    accepted_round = durable(ZERO)
    log = durable_log()  # of Command; the entry with index 1 is item 0
    decided_on_disk = durable(
        0
    )  # may lag behind `decided`: written with the next entries, it needs no sync of its own

    def on_start(self) -> None:
        self.role = FOLLOWER
        self.phase = RECOVER if self.incarnation else PREPARE
        self.leader = self.promised.proposer or None
        self.decided = self.decided_on_disk
        self.applied = 0
        # Of the leader of a round
        self.round = ZERO
        self.promises: dict[str, Promise] = {}
        self.adopted = (ZERO, 0)  # the round and length of the log that this leader adopted
        self.accepted: dict[str, int] = {}  # server -> how many entries of this round's log it has accepted
        self.repeat_below = 0  # entries up to this index are older than a heartbeat
        self.early: list[tuple[str, Request]] = []  # requests that arrived in the Prepare phase
        # Of a follower
        self.ahead: dict[int, tuple[Command, ...]] = {}  # index -> entries of this round that overtook others
        self.heard_decided = 0
        self.record("role", role=FOLLOWER, ballot=str(self.promised))
        self.apply_decided()
        if self.phase == RECOVER:
            self.ask_for_prepare()
        else:
            self.hear_elected(self.election.elected)

    def is_quorum(self, count: int) -> bool:
        """Whether so many servers are a majority."""
        return 2 * count > len(self.members)

    def leads(self, ballot: Ballot) -> bool:
        """Whether this server leads in the round of a ballot."""
        return self.role == LEADER and self.round == ballot

    # Prepare phase: the leader

    def hear_elected(self, ballot: Ballot) -> None:
        """Upon an event of the election. Ballots below a promised one have lost their majority."""
        if ballot.proposer != self.name:
            if self.role == LEADER and ballot > self.round:
                self.step_down()
            if ballot >= self.promised:
                self.leader = ballot.proposer
        elif ballot > self.promised:
            if self.role == LEADER:  # of an earlier round, some of whose entries the new one may not have
                self.step_down()
            self.prepare(ballot)

    def prepare(self, ballot: Ballot) -> None:
        """Begin round ``ballot``: ask all servers for promises. The own promise makes the ballot durable."""
        self.role, self.phase, self.leader = LEADER, PREPARE, self.name
        self.round = self.promised = ballot
        self.promises, self.accepted = {}, {}
        self.record("role", role=LEADER, ballot=str(ballot))
        request = self.prepare_request()
        self.broadcast(request)
        self.send(self.name, self.promise(request))
        self.set_timer("heartbeat", self.settings.heartbeat_interval)

    def prepare_request(self) -> Prepare:
        """The Prepare of this leader's round."""
        return Prepare(self.round, self.accepted_round, len(self.log), self.decided)

    def on_promise(self, src: str, msg: Promise) -> None:
        """With the promises of a majority the round begins; a later promise only synchronises its sender."""
        if self.role != LEADER or msg.ballot != self.round:
            return
        self.promises[src] = msg
        if self.phase == ACCEPT:
            self.accepted.pop(src, None)
            self.synchronise(src)
        elif self.name in self.promises and self.is_quorum(len(self.promises)):
            self.begin_round()

    def begin_round(self) -> None:
        """Adopt the longest log of the latest round among the promises, add early requests, synchronise all."""
        best = self.best_promise()
        if best.accepted_round > self.accepted_round:
            self.log.truncate(self.decided)
        self.log.extend(best.suffix)
        self.adopted = (best.accepted_round, best.log_index)
        self.accepted_round = self.round
        self.phase = ACCEPT
        self.repeat_below = 0
        self.record("elected", ballot=str(self.round), adopted=len(self.log))
        self.decide_up_to(max(promise.decided for promise in self.promises.values()))
        early, self.early = self.early, []
        self.log.extend([m.command for client, m in early if self.begins(client, m.command)])
        for follower in self.promises:
            if follower != self.name:
                self.synchronise(follower)
        self.acknowledge(self.name)

    def best_promise(self) -> Promise:
        """The promise of the latest accepted round; of several such, the one with the longest log."""
        return max(self.promises.values(), key=lambda promise: (promise.accepted_round, promise.log_index))

    def synchronise(self, follower: str) -> None:
        """Send a follower what its log lacks, from the index up to which it certainly agrees with this round's log."""
        index = self.common_index(self.promises[follower])
        suffix = tuple(self.log[index:])
        self.send(follower, AcceptSync(self.round, index, suffix, self.decided), hold=False)

    def common_index(self, promise: Promise) -> int:
        """How many entries of a follower's log this round's log begins with.

        Logs of one round are prefixes of one another. So a follower that accepted in the adopted round agrees up to the
        end of the shorter log; the others agree only in what is decided.
        """
        if promise.accepted_round == self.round:
            return promise.log_index
        if promise.accepted_round == self.adopted[0]:
            return min(promise.log_index, self.adopted[1])
        return promise.decided

    def step_down(self) -> None:
        """Another ballot is elected or promised: redirect the clients that wait here."""
        self.role = FOLLOWER
        self.record("role", role=FOLLOWER, ballot=str(self.promised))
        self.cancel_timer("heartbeat")
        self.redirect_all()
        early, self.early = self.early, []
        for client, request in early:
            self.redirect(client, request.command)

    # Prepare phase: followers

    def on_prepare(self, src: str, msg: Prepare) -> None:
        """Promise a higher round; and again the promised one, until its log has come."""
        if msg.ballot < self.promised or (msg.ballot == self.promised and self.phase == ACCEPT):
            return
        if msg.ballot > self.promised:
            self.promised = msg.ballot
            if self.role == LEADER:
                self.step_down()
            self.ahead, self.heard_decided = {}, 0
            self.election.hear_promised(msg.ballot)
        self.leader = src
        self.phase = PREPARE
        self.send(src, self.promise(msg))

    def promise(self, msg: Prepare) -> Promise:
        """The answer to a Prepare, with the entries that the leader's log lacks."""
        suffix: tuple[Command, ...] = ()
        if self.accepted_round > msg.accepted_round:
            suffix = tuple(self.log[msg.decided :])
        elif self.accepted_round == msg.accepted_round:
            suffix = tuple(self.log[msg.log_index :])
        return Promise(msg.ballot, self.accepted_round, len(self.log), self.decided, suffix)

    def on_accept_sync(self, src: str, msg: AcceptSync) -> None:
        """The log of the round: from now on this follower accepts its entries."""
        if msg.ballot != self.promised or self.role == LEADER or self.phase == RECOVER:
            return
        if (
            self.accepted_round == msg.ballot
        ):  # a late one, or one after a restart: entries of this round stay
            self.extend(msg.index, msg.suffix)
        else:
            self.log.truncate(msg.index)
            self.log.extend(msg.suffix)
            self.accepted_round = msg.ballot
        self.phase = ACCEPT
        self.take_ahead()
        self.acknowledge(src)
        self.hear_decided(msg.decided)

    # Accept phase

    def on_request(self, src: str, msg: Request) -> None:
        """A client's command: the leader appends it to the log of its round."""
        if self.role == FOLLOWER:
            self.redirect(src, msg.command, None if self.leader == self.name else self.leader)
        elif self.phase == PREPARE:
            self.early.append((src, msg))
        elif self.begins(src, msg.command):
            self.order(msg.command)

    def order(self, command: Command) -> None:
        """Append a command, and ask the followers to accept it. It promises nothing, so it does not wait for a disk."""
        index = len(self.log)
        self.log.append(command)
        followers = [name for name in self.promises if name != self.name]
        self.broadcast(Accept(self.round, index, (command,)), to=followers, hold=False)
        self.acknowledge(self.name)

    def on_accept(self, src: str, msg: Accept) -> None:
        if msg.ballot != self.promised or self.role == LEADER or self.phase == RECOVER:
            return
        if self.phase == PREPARE or msg.index > len(self.log):
            self.ahead[msg.index] = msg.entries
            return
        self.extend(msg.index, msg.entries)
        self.take_ahead()
        self.acknowledge(src)
        self.hear_decided(0)

    def acknowledge(self, leader: str) -> None:
        """Tell the leader how many entries of its round this server has accepted."""
        if self.decided_on_disk < self.decided:
            self.decided_on_disk = self.decided
        self.send(leader, Accepted(self.accepted_round, len(self.log)))

    def extend(self, index: int, entries: tuple[Command, ...]) -> None:
        """Append those entries of this round, the first of them after ``index`` others, that the log does not have."""
        if index <= len(self.log):
            self.log.extend(entries[len(self.log) - index :])

    def take_ahead(self) -> None:
        """Append the entries that arrived before their predecessors."""
        for index in sorted(self.ahead):
            if index > len(self.log):
                return
            self.extend(index, self.ahead.pop(index))

    def on_accepted(self, src: str, msg: Accepted) -> None:
        """What a majority has accepted in this round is decided."""
        if self.role != LEADER or msg.ballot != self.round or self.phase == PREPARE:
            return
        self.accepted[src] = max(msg.log_index, self.accepted.get(src, 0))
        chosen = self.accepted_by_majority()
        if chosen > self.decided:
            self.decide_up_to(chosen)
            self.tell_decided()

    def accepted_by_majority(self) -> int:
        """How many entries a majority has accepted in this round."""
        counts = sorted(self.accepted.values(), reverse=True)
        majority = len(self.members) // 2 + 1
        return counts[majority - 1] if len(counts) >= majority else 0

    def tell_decided(self) -> None:
        """Send Decide to all servers that have promised."""
        followers = [name for name in self.promises if name != self.name]
        self.broadcast(Decide(self.round, self.decided), to=followers, hold=False)

    def on_decide(self, src: str, msg: Decide) -> None:
        if msg.ballot == self.promised and self.role == FOLLOWER:
            self.hear_decided(msg.decided)

    def hear_decided(self, decided: int) -> None:
        """Entries up to ``decided`` of this round's log are decided; of these, decide what this follower has."""
        self.heard_decided = max(self.heard_decided, decided)
        if self.phase == ACCEPT:
            self.decide_up_to(min(self.heard_decided, len(self.log)))

    def decide_up_to(self, decided: int) -> None:
        """The first ``decided`` entries of the log are decided."""
        if decided > self.decided:
            self.decided = decided
            self.apply_decided()

    def apply_decided(self) -> None:
        """Apply the decided entries in order, and answer the clients that wait here."""
        while self.applied < self.decided:
            self.applied += 1
            self.apply_and_answer(self.log[self.applied - 1])

    # Repetition, and recovery after a restart

    def on_heartbeat_timeout(self) -> None:
        """The leader repeats what was not answered."""
        self.set_timer("heartbeat", self.settings.heartbeat_interval)
        silent = [peer for peer in self.peers if peer not in self.promises]
        self.broadcast(self.prepare_request(), to=silent)
        if self.phase == PREPARE:
            return
        for follower in self.promises:
            if follower != self.name:
                self.repeat(follower)
        self.tell_decided()
        self.repeat_below = len(self.log)

    def repeat(self, follower: str) -> None:
        """Send a follower again what it has not acknowledged."""
        has = self.accepted.get(follower)
        if has is None:
            self.synchronise(follower)
        elif has < self.repeat_below:
            entries = tuple(self.log[has : has + _RESENT_AT_ONCE])
            self.send(follower, Accept(self.round, has, entries), hold=False)

    def ask_for_prepare(self) -> None:
        """After a restart: ask the leader for a Prepare, and again until the log of the round has come.

        The leader may have an earlier promise of this server, and then sends no Prepare by itself.
        """
        if self.role == FOLLOWER and self.phase != ACCEPT:
            self.broadcast(PrepareRequest(), hold=False)
            self.set_timer("recover", self.settings.heartbeat_interval)

    def on_recover_timeout(self) -> None:
        self.ask_for_prepare()

    def on_prepare_request(self, src: str, msg: PrepareRequest) -> None:
        if self.role == LEADER:
            self.send(src, self.prepare_request())

    def gauges(self) -> dict[str, float]:
        """Gauges for the frame ``samples``."""
        return {"decided": self.decided, "log": len(self.log)}
