"""Mencius, the simple version with skips: every replica leads every n-th slot, and skips those it has no use for.

Mao, Junqueira, Marzullo, "Mencius: Building Efficient Replicated State Machines for WANs" (OSDI 2008), section 4.
A slot is an instance of *simple consensus*: its coordinator may suggest any command under ballot 0, or skip,
which chooses a no-op at once, because nobody else may propose anything but a no-op there (or what the coordinator
suggested). A client's nearest replica suggests its command; no leader far away is asked.

Rule 1  A replica suggests in its next own slot.
Rule 2  One that sees a suggestion for a later slot skips its own slots before it.
Rule 3  A slot that holds the others up for the detection timeout is revoked: Paxos with a higher ballot decides
        it and the same coordinator's following slots.
Rule 4  A coordinator whose suggestion was revoked suggests its command again.

Departures:
- The paper relies on FIFO channels to infer skips. Messages overtake and get lost here, so a replica says which
  of its slots it skipped since its last suggestion: in each suggestion, acceptance and heartbeat.
- A skip counts once it is on disk, also for the replica itself; a suggestion leaves once it is on disk, lest a
  restarted coordinator suggest something else in the slot.
- No failure detector of its own: whoever holds up execution is suspected until it is heard of again.
- No out-of-order commit of commands that commute; the log is kept whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.node import Node, durable, durable_log, durable_map
from sim.protocols.client import Client, Reply, Request
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.mencius_invariants import MenciusSafety
from sim.protocols.consensus.mencius_messages import (
    Accepted,
    Chosen,
    Fetch,
    Heartbeat,
    Known,
    Nack,
    Prepare,
    Promise,
    Revoke,
    Revoked,
    Skip,
    Suggest,
)
from sim.protocols.consensus.settings import at_least, names
from sim.protocols.kv import NOOP, Command, KeyValueStore
from sim.protocols.quorums import Majority, QuorumTest
from sim.system import Invariant, Member, System

__all__ = ["Mencius", "MenciusNode"]

_AT_ONCE = 500  # slots in one answer to a replica that lags; suggestions sent again with one heartbeat


class _Revocation:
    """Paxos for a coordinator's slots, under way: what was asked last, and who has answered."""

    def __init__(self, asked: Prepare | Revoke) -> None:
        self.asked = asked
        self.promises: dict[str, Promise] = {}
        self.voters: set[str] = set()

    @property
    def answered(self) -> Iterable[str]:
        return self.promises if isinstance(self.asked, Prepare) else self.voters


class MenciusNode(Node):
    """A replica: coordinator of every n-th slot, acceptor and learner of all."""

    settings: Mencius
    used = durable(0)  # own slots up to here are suggested in or skipped
    last_suggested = durable(0)
    votes = durable_map()  # slot -> Vote
    promises = durable_map()  # slot -> Ballot, of revocations
    round = durable(0)  # of revocations, the highest that this replica has used
    history = durable_log()  # chosen commands from slot 1 on; may lag behind `applied`

    def on_start(self) -> None:
        self.count = len(self.members)
        self.index = self.members.index(self.name)
        self.is_quorum: QuorumTest = Majority().over(self.members)
        self.heartbeat = self.settings.heartbeat or 0.05
        self.detection = self.settings.detection or 10 * self.heartbeat
        self.store = KeyValueStore()
        self.applied = 0  # how many slots it has executed
        self.log: list[Command] = []  # their commands, from slot 1 on
        self.decided: dict[int, Command] = {}  # chosen and not yet executed
        self.highest = max(self.votes, default=0)  # the highest slot that it has heard of
        self.open: dict[int, set[str]] = {}  # own suggestions: who has accepted
        self.mine: dict[int, Command] = {}  # own suggestions whose fate is not known
        self.resend_below = self.resend_next = 0
        self.clients: dict[int, tuple[int, str]] = {}  # session -> sequence, client
        self.skips_known: dict[str, int] = {}  # coordinator -> slot below which its skips were taken in
        self.stalled_at = -1  # `applied` at the last heartbeat
        self.highest_round = self.round
        self.revocations: dict[str, _Revocation] = {}  # by coordinator
        self.suspected: dict[str, int] = {}  # coordinator -> slot up to which it was revoked
        for command in self.history:
            self.execute(command)
        for slot, vote in self.votes.items():
            if slot > self.applied and vote.ballot == Ballot(0, self.name):
                self.open[slot], self.mine[slot] = set(), vote.command  # sent again with the heartbeat
        if self.highest > self.applied:
            self.be_patient()
        self.set_timer("tick", self.heartbeat)
        self.skip()

    def owner(self, slot: int) -> str:
        """The coordinator of a slot."""
        return self.members[(slot - 1) % self.count]

    def own_after(self, slot: int) -> int:
        """The first of its own slots after ``slot``."""
        return slot + 1 + (self.index - slot) % self.count

    @property
    def skipped(self) -> tuple[int, int]:
        """Since its last suggestion it has skipped its slots from the first below the second."""
        return self.own_after(self.last_suggested), self.own_after(self.used)

    # Rule 1: suggest in the next own slot

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if (result := self.store.known(command)) is not None:
            self.answer(src, command, result)
        elif self.clients.get(command.session, (0, src))[0] < command.sequence:
            self.clients[command.session] = (command.sequence, src)
            self.suggest(command)

    def suggest(self, command: Command) -> None:
        first, slot = self.skipped
        self.used = self.last_suggested = slot
        self.open[slot], self.mine[slot] = set(), command
        self.vote(slot, Ballot(0, self.name), command)
        self.broadcast(Suggest(slot, command, first))
        self.send(self.name, Skip(first, slot))
        self.send(self.name, Accepted(slot, Ballot(0, self.name), slot, slot))
        self.see(slot)

    def vote(self, slot: int, ballot: Ballot, command: Command) -> None:
        """Accept; what was executed meanwhile goes to disk with it."""
        self.votes[slot] = Vote(ballot, command)
        self.history.extend(self.log[len(self.history) :])

    # Rule 2: skip own slots before another's suggestion

    def on_suggest(self, src: str, msg: Suggest) -> None:
        self.hear_skips(src, msg.first, msg.slot)
        ballot = Ballot(0, src)
        if self.promises.get(msg.slot, ZERO) > ballot:
            self.tell(src, msg.slot)  # too late; perhaps it is known already what was chosen
            return
        self.see(msg.slot)
        self.vote(msg.slot, ballot, msg.command)
        if msg.slot > self.used:
            self.used = msg.slot
            self.skip()
        self.send(src, Accepted(msg.slot, ballot, *self.skipped))

    def skip(self) -> None:
        """Own slots that are used and hold no suggestion are no-ops, as soon as that is on disk."""
        self.send(self.name, Skip(*self.skipped))

    def on_skip(self, src: str, msg: Skip) -> None:
        self.hear_skips(src, msg.first, msg.turn)

    def hear_skips(self, src: str, first: int, turn: int) -> None:
        """A coordinator has skipped its slots from ``first`` below ``turn``: no-ops are chosen there."""
        if self.suspected and src in self.suspected:
            del self.suspected[src]
        known = self.skips_known.get(src, 0)
        if turn > known:
            for slot in range(max(first, known), turn, self.count):
                self.decide(slot, NOOP)
            self.skips_known[src] = turn
            self.advance()

    # Learning and executing

    def on_accepted(self, src: str, msg: Accepted) -> None:
        self.hear_skips(src, msg.first, msg.turn)
        voters = self.open.get(msg.slot)
        if voters is None:
            return
        voters.add(src)
        if self.is_quorum(voters):
            del self.open[msg.slot]
            self.decide(msg.slot, self.mine[msg.slot])
            self.broadcast(Chosen(msg.slot), hold=False)
            self.advance()

    def on_chosen(self, src: str, msg: Chosen) -> None:
        vote = self.votes.get(msg.slot)
        if vote is not None and vote.ballot == Ballot(0, src):
            self.decide(msg.slot, vote.command)
            self.advance()

    def decide(self, slot: int, command: Command) -> None:
        """A command is chosen in a slot. Rule 4: if it is not what this coordinator suggested, suggest that anew."""
        if slot <= self.applied or slot in self.decided:
            return
        self.decided[slot] = command
        if command is not NOOP and command != NOOP:
            self.see(slot)
        if slot > self.used and self.owner(slot) == self.name:
            self.used = slot  # revoked: not to be used any more
        self.open.pop(slot, None)
        mine = self.mine.pop(slot, None)
        if mine is not None and mine != command and self.store.known(mine) is None:
            self.suggest(mine)

    def advance(self) -> None:
        """Execute chosen commands in the order of their slots."""
        before = self.applied
        while (command := self.decided.pop(self.applied + 1, None)) is not None:
            self.execute(command)
        if self.applied > before:
            if self.highest > self.applied:
                self.be_patient()
            else:
                self.cancel_timer("stuck")

    def execute(self, command: Command) -> None:
        self.applied += 1
        self.log.append(command)
        result = self.store.apply(command)
        if self.clients:
            sequence, client = self.clients.get(command.session, (0, ""))
            if sequence == command.sequence and result is not None:
                del self.clients[command.session]
                self.answer(client, command, result)

    def answer(self, client: str, command: Command, result: Any) -> None:
        """Reply. It is chosen, so that this node's disk does not matter any more."""
        reply = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.send(client, reply, hold=False)

    def see(self, slot: int) -> None:
        """A slot is in use: those before it must be decided."""
        if slot <= self.highest:
            return
        if self.highest <= self.applied:
            self.be_patient()
        self.highest = slot
        for coordinator, last in list(self.suspected.items()):
            if slot > last - self.settings.revoke_ahead * self.count // 2:
                self.revoke(coordinator, last + 1)

    def gauges(self) -> dict[str, float]:
        """What a scenario may sample."""
        return {"applied": self.applied, "log": len(self.log), "open slots": len(self.open)}

    # What is lost is sent again; who lags, asks

    def on_tick_timeout(self) -> None:
        self.set_timer("tick", self.heartbeat)
        self.broadcast(Heartbeat(self.applied, *self.skipped))
        for slot, voters in list(self.open.items())[:_AT_ONCE]:
            if slot < self.resend_below:  # older than a whole heartbeat
                again = Suggest(slot, self.mine[slot], slot)
                self.broadcast(again, to=[name for name in self.peers if name not in voters])
        self.resend_below, self.resend_next = self.resend_next, self.own_after(self.used)
        for revocation in self.revocations.values():
            missing = [name for name in self.members if name not in revocation.answered]
            self.broadcast(revocation.asked, to=missing)
        holder = self.owner(self.applied + 1)
        if self.stalled_at == self.applied < self.highest and holder != self.name:
            self.send(holder, Fetch(self.applied + 1), hold=False)
        self.stalled_at = self.applied

    def on_heartbeat(self, src: str, msg: Heartbeat) -> None:
        self.hear_skips(src, msg.first, msg.turn)
        self.see(msg.applied)
        if msg.applied > self.applied == self.stalled_at:
            self.send(src, Fetch(self.applied + 1), hold=False)

    def on_fetch(self, src: str, msg: Fetch) -> None:
        self.tell(src, msg.first)

    def tell(self, dst: str, first: int) -> None:
        """Send what is known to be chosen from ``first`` on."""
        executed = list(enumerate(self.log[first - 1 : first - 1 + _AT_ONCE], first))
        later = sorted(slot for slot in self.decided if slot >= first)[: _AT_ONCE - len(executed)]
        entries = (*executed, *[(slot, self.decided[slot]) for slot in later])
        if entries:
            self.send(dst, Known(entries), hold=False)

    def on_known(self, src: str, msg: Known) -> None:
        before = self.applied
        for slot, command in msg.entries:
            self.decide(slot, command)
        self.advance()
        if self.applied - before == _AT_ONCE:
            self.send(src, Fetch(self.applied + 1), hold=False)

    # Rule 3: revoke the slots of a coordinator that holds the others up

    def be_patient(self) -> None:
        """Give the next slot a randomised time to be decided."""
        self.set_timer("stuck", self.random.uniform(self.detection, 2 * self.detection))

    def on_stuck_timeout(self) -> None:
        if self.applied < self.highest:
            self.be_patient()
            self.revoke(self.owner(self.applied + 1), self.applied + 1)

    def revoke(self, coordinator: str, start: int) -> None:
        """Phase 1 for a coordinator's undecided slots, and for some beyond those in use."""
        first = start + (self.members.index(coordinator) + 1 - start) % self.count
        last = first + self.count * (max(0, self.highest - first) // self.count + self.settings.revoke_ahead)
        self.round = max(self.round, self.highest_round) + 1
        if coordinator != self.name:
            self.suspected[coordinator] = last
        asked = Prepare(Ballot(self.round, self.name), first, last)
        self.record("revoke", coordinator=coordinator, first=first, last=last)
        self.revocations[coordinator] = _Revocation(asked)
        self.broadcast(asked, to=self.members)

    def refuses(self, src: str, ballot: Ballot, slots: range) -> bool:
        """Whether a higher ballot has been promised in any of the slots; its proposer is told so."""
        promised = max(self.promises.get(slot, ZERO) for slot in slots)
        if ballot < promised:
            self.send(src, Nack(ballot, promised))
            return True
        for slot in slots:
            if self.promises.get(slot) != ballot:
                self.promises[slot] = ballot
        if self.owner(slots[0]) == self.name and slots[-1] > self.used:
            self.used = slots[-1]  # its own: it will not suggest there any more
            self.skip()
        return False

    def on_prepare(self, src: str, msg: Prepare) -> None:
        slots = range(msg.first, msg.last + 1, self.count)
        if not self.refuses(src, msg.ballot, slots):
            if self.highest > self.applied:
                self.be_patient()  # somebody sees to it
            votes = tuple([(slot, self.votes[slot]) for slot in slots if slot in self.votes])
            self.send(src, Promise(msg.ballot, msg.first, msg.last, votes))

    def revocation(self, ballot: Ballot, first: int) -> _Revocation | None:
        """The revocation under way that an answer belongs to."""
        found = self.revocations.get(self.owner(first))
        return found if found is not None and found.asked.ballot == ballot else None

    def on_promise(self, src: str, msg: Promise) -> None:
        """Phase 2: the value of the highest ballot in each slot, which only its coordinator can have suggested."""
        revocation = self.revocation(msg.ballot, msg.first)
        if revocation is None or not isinstance(revocation.asked, Prepare):
            return
        revocation.promises[src] = msg
        if not self.is_quorum(revocation.promises.keys()):
            return
        highest: dict[int, Vote] = {}
        for promise in revocation.promises.values():
            for slot, vote in promise.votes:
                if slot not in highest or vote.ballot > highest[slot].ballot:
                    highest[slot] = vote
        values = tuple([(slot, vote.command) for slot, vote in highest.items() if vote.command != NOOP])
        revocation.asked = Revoke(msg.ballot, msg.first, msg.last, values)
        self.broadcast(revocation.asked, to=self.members)

    def on_revoke(self, src: str, msg: Revoke) -> None:
        slots = range(msg.first, msg.last + 1, self.count)
        if not self.refuses(src, msg.ballot, slots):
            values = dict(msg.values)
            for slot in slots:
                self.vote(slot, msg.ballot, values.get(slot, NOOP))
            self.send(src, Revoked(msg.ballot, msg.first, msg.last))

    def on_revoked(self, src: str, msg: Revoked) -> None:
        revocation = self.revocation(msg.ballot, msg.first)
        if revocation is None or not isinstance(revocation.asked, Revoke):
            return
        revocation.voters.add(src)
        if self.is_quorum(revocation.voters):
            del self.revocations[self.owner(msg.first)]
            values = dict(revocation.asked.values)
            slots = range(msg.first, msg.last + 1, self.count)
            known = Known(tuple([(slot, values.get(slot, NOOP)) for slot in slots]))
            self.broadcast(known, hold=False)
            self.on_known(self.name, known)

    def on_nack(self, src: str, msg: Nack) -> None:
        """Somebody else revokes them; if that leads nowhere, patience ends once more."""
        self.highest_round = max(self.highest_round, msg.promised.round)
        for coordinator, revocation in list(self.revocations.items()):
            if revocation.asked.ballot == msg.ballot:
                del self.revocations[coordinator]


@dataclass(frozen=True, kw_only=True)
class Mencius(System):
    """Mencius with skips.

    Parameters
    ----------
    nodes:
        How many replicas; each coordinates every ``nodes``-th slot. Clients use the nearest.
    revoke_ahead:
        How many slots of a suspected coordinator are revoked at once, beyond those in use (beta, section 4.4).

    Raises ValueError for settings that cannot work.
    """

    nodes: int = 5
    revoke_ahead: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("Mencius", "nodes", self.nodes, 1)
        at_least("Mencius", "revoke_ahead", self.revoke_ahead, 1)

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, MenciusNode) for name in names("n", self.nodes))

    @property
    def client_class(self) -> type[Node]:
        return Client

    @property
    def claims(self) -> str | None:
        return "linearizable"

    def invariants(self) -> Iterable[Invariant]:
        enough = Majority().over(names("n", self.nodes))
        return (MenciusSafety(is_phase1_quorum=enough, is_phase2_quorum=enough, nodes=self.nodes),)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that neither the most advanced replica has executed nor any live one has accepted."""
        replicas = [node for node in nodes.values() if isinstance(node, MenciusNode)]
        if not replicas:
            return None
        best = max(replicas, key=lambda node: node.applied)
        held = [vote.command for node in replicas for s, vote in node.votes.items() if s > best.applied]
        to_come = {(command.session, command.sequence) for command in held}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
