"""Multi-Paxos: a sequence of Paxos instances (slots) led by one proposer, which runs phase 1 once for all of them.

Lamport, "Paxos Made Simple" (2001), section 3; Chandra, Griesemer, Redstone, "Paxos Made Live" (PODC 2007) for
catch-up. Handlers follow the phases: election, phase 1 and the recovery of values, phase 2, learning.

Assumptions: as in single-decree Paxos; what an acceptor promised and accepted survives on disk.

Leases, batches, the window and compaction are in `multipaxos_options`.

Departures, or where the papers are silent:
- The leader is whoever last completed phase 1. It sends heartbeats; a replica that misses them for one to two
  detection timeouts campaigns with a higher ballot.
- The leader is an acceptor, too: it accepts its own proposals at once, and its vote counts once on its disk.
- Replicas learn from a *commit index* that rides on what the leader sends anyway. A replica takes a slot up to
  it for chosen only if it accepted that slot under the leader's own ballot; other slots it asks the leader for.
- A chosen slot that is learnt counts as accepted under the leader's ballot: a proposal under that ballot could
  have had no other value (P2b).
- Flexible quorums (Howard, Malkhi, Spiegelman 2016): phases 1 and 2 may use different quorums that meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.node import Node, durable, durable_map
from sim.protocols.client import Client, Redirect, Reply, Request
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.multipaxos_messages import (
    Accept,
    Accepted,
    Heartbeat,
    Learn,
    Learned,
    Nack,
    Prepare,
    Promise,
)
from sim.protocols.consensus.paxos_invariants import MultiPaxosSafety, commands_of
from sim.protocols.consensus.settings import at_least, check_options, names, refuse_disjoint
from sim.protocols.kv import NOOP, Command, KeyValueStore, Result
from sim.protocols.quorums import QuorumSystem, QuorumTest, as_quorums
from sim.system import Invariant, Member, System

__all__ = [
    "Accept",
    "Accepted",
    "Heartbeat",
    "Learn",
    "Learned",
    "MultiPaxos",
    "MultiPaxosNode",
    "Nack",
    "Prepare",
    "Promise",
]

_LEARNED_AT_ONCE = 500  # chosen slots in one answer to a replica that lags
_RESENT_AT_ONCE = 100  # unanswered proposals that are sent again with one heartbeat


class MultiPaxosNode(Node):
    """Proposer, acceptor and learner in one."""

    settings: MultiPaxos
    promised = durable(ZERO)
    votes = durable_map()  # slot -> Vote
    executed = durable(0)  # votes up to this slot are known to be chosen; may lag behind `applied`

    def on_start(self) -> None:
        self.role = "follower"
        self.ballot = ZERO  # of this node's own last campaign
        self.highest_seen = self.promised.round
        self.leader: str | None = None
        self.last_slot = max(self.votes, default=0)  # the last in which it has voted
        self.applied = 0
        self.store = KeyValueStore()
        self.chosen: set[int] = set()  # slots above `applied` whose vote is known to be chosen
        self.commit_ballot = ZERO  # whose commit index it heard last, and that index
        self.commit_heard = 0
        self.catching_up = False
        self.promises: dict[str, Promise] = {}
        self.open: dict[int, set[str]] = {}  # proposed and not yet chosen: who has accepted
        self.next_slot = 1
        self.recovered_to = 0  # the last slot that this leader's phase 1 recovered
        self.resend_below = self.resend_next = 0
        self.clients: dict[int, tuple[int, str]] = {}  # session -> sequence proposed for it, client
        self.early: list[tuple[str, Request]] = []  # requests that came during phase 1
        self.is_phase1_quorum: QuorumTest = self.settings.phase1_test()
        self.is_phase2_quorum: QuorumTest = self.settings.phase2_test()
        self.heartbeat, self.detection = self.settings.times
        self.recover()
        if self.incarnation == 0 and self.name == self.settings.first_leader:
            self.campaign()
        else:
            self.expect_leader()

    def recover(self) -> None:
        """Execute anew what is known to be chosen from its own disk."""
        self.chosen.update(range(self.applied + 1, self.executed + 1))
        self.advance()

    # Election: whoever hears no leader campaigns

    def expect_leader(self) -> None:
        """Give the leader, or the candidate, a randomised time to be heard of."""
        self.set_timer("election", self.random.uniform(self.detection, 2 * self.detection))

    def on_election_timeout(self) -> None:
        self.campaign()

    def campaign(self) -> None:
        """Phase 1(a): a ballot above all that were seen. That it is promised to itself makes it durable."""
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
        """Ask those again that have not promised."""
        missing = [name for name in self.peers if name not in self.promises]
        self.broadcast(Prepare(self.ballot, self.applied + 1), to=missing)

    def become(self, role: str) -> None:
        """Change the role."""
        self.role = role
        self.record("role", role=role, ballot=str(self.ballot if role != "follower" else self.promised))

    def step_down(self) -> None:
        """Another ballot is under way: its clients must ask elsewhere, under the same session and number."""
        self.become("follower")
        self.cancel_timer("heartbeat")
        self.expect_leader()
        self.open = {}
        for session, (sequence, client) in self.clients.items():
            self.send(client, Redirect(session, sequence), hold=False)
        self.clients = {}
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
        """The answer to a prepare request: all votes in the slots that it asks for."""
        slots = range(first, self.last_slot + 1)
        return Promise(ballot, first, tuple([(s, self.votes[s]) for s in slots if s in self.votes]))

    def on_promise(self, src: str, msg: Promise) -> None:
        if self.role != "candidate" or msg.ballot != self.ballot:
            return
        self.promises[src] = msg
        if self.is_phase1_quorum(self.promises.keys()):
            self.lead()

    def lead(self) -> None:
        """Phase 1 is over for all slots: propose anew what may have been chosen, and fill the gaps.

        A slot in which nobody of the quorum has accepted anything is free: a no-op goes into it, because later
        slots cannot be applied before it (section 3).
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
        """Somebody has promised a higher ballot."""
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
            self.send(src, Redirect(command.session, command.sequence, self.leader), hold=False)
        elif (result := self.store.known(command)) is not None:
            self.answer(src, command, result)
        elif self.clients.get(command.session, (0, src))[0] < command.sequence:
            self.clients[command.session] = (command.sequence, src)
            self.assign(command)

    def assign(self, command: Command) -> None:
        """Give a command the next free slot."""
        slot = self.next_slot
        self.next_slot += 1
        self.propose(slot, command)

    def propose(self, slot: int, command: Command) -> None:
        """Phase 2(a). Promises nothing about this node's disk but its ballot, which has long been there."""
        self.open[slot] = set()
        self.broadcast(Accept(self.ballot, slot, command, self.applied), hold=False)
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
        """Vote, on disk before anybody hears of it."""
        self.votes[slot] = Vote(ballot, command)
        if slot > self.last_slot:
            self.last_slot = slot
        if self.executed < self.applied:
            self.executed = self.applied  # in the record of the vote, it costs no sync of its own
        self.send(leader, Accepted(ballot, slot))

    def on_accepted(self, src: str, msg: Accepted) -> None:
        """A quorum's votes choose the command."""
        voters = self.open.get(msg.slot)
        if voters is None or msg.ballot != self.ballot:
            return
        voters.add(src)
        if self.is_phase2_quorum(voters):
            del self.open[msg.slot]
            self.chosen.add(msg.slot)
            self.advance()

    def on_heartbeat_timeout(self) -> None:
        """The leader says that it lives; and what seems lost is sent again."""
        self.set_timer("heartbeat", self.heartbeat)
        if self.role == "candidate":
            self.repeat_prepare()
            return
        self.beat()
        for slot, voters in list(self.open.items())[:_RESENT_AT_ONCE]:
            if slot < self.resend_below:  # older than a whole heartbeat
                again = Accept(self.ballot, slot, self.votes[slot].command, self.applied)
                self.broadcast(again, to=[name for name in self.peers if name not in voters], hold=False)
        self.resend_below, self.resend_next = self.resend_next, self.next_slot

    def beat(self) -> None:
        """Tell the others who leads, and how far."""
        self.broadcast(Heartbeat(self.ballot, self.applied), hold=False)

    # Learning what was chosen

    def on_heartbeat(self, src: str, msg: Heartbeat) -> None:
        if msg.ballot < self.promised:
            self.send(src, Nack(msg.ballot, self.promised))
            return
        self.follow(src, msg.ballot)
        self.hear_commit(msg.ballot, msg.commit)

    def follow(self, leader: str, ballot: Ballot) -> None:
        """A leader of a ballot no lower than promised has been heard of."""
        self.leader = leader
        if self.role != "follower":
            self.step_down()
        else:
            self.expect_leader()

    def hear_commit(self, ballot: Ballot, commit: int) -> None:
        """The leader of a ballot has applied all slots up to ``commit``."""
        if ballot != self.commit_ballot:
            if ballot < self.commit_ballot:
                return
            self.commit_ballot, self.commit_heard = ballot, self.applied
        if commit > self.commit_heard:
            for slot in range(self.commit_heard + 1, commit + 1):
                vote = self.votes.get(slot)
                if vote is not None and vote.ballot == ballot and slot > self.applied:
                    self.chosen.add(slot)
            self.commit_heard = commit
        if self.applied < self.commit_heard:
            self.advance()
            if self.applied < self.commit_heard and not self.catching_up:
                self.catching_up = True  # unless what is missing comes soon
                self.set_timer("catch_up", self.heartbeat)

    def advance(self) -> None:
        """Apply chosen commands in the order of their slots, without gaps."""
        while self.applied + 1 in self.chosen:
            slot = self.applied + 1
            self.chosen.discard(slot)
            self.applied = slot
            self.apply(self.votes[slot].command)

    def apply(self, command: Command) -> None:
        """Apply a command, and answer the client that waits for it here."""
        result = self.store.apply(command)
        if self.clients:
            sequence, client = self.clients.get(command.session, (0, ""))
            if sequence == command.sequence and result is not None:
                del self.clients[command.session]
                self.answer(client, command, result)

    def answer(self, client: str, command: Command, result: Result) -> None:
        """Reply. It is chosen, so that this node's disk does not matter any more."""
        reply = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.send(client, reply, hold=False)

    def gauges(self) -> dict[str, float]:
        """What a scenario may sample."""
        return {"applied": self.applied, "log": len(self.votes), "open slots": len(self.open)}

    # Catching up

    def on_catch_up_timeout(self) -> None:
        """What is missing has not come by itself: ask the leader."""
        self.catching_up = False
        if self.applied < self.commit_heard and self.leader not in (None, self.name):
            assert self.leader is not None
            self.send(self.leader, Learn(self.applied + 1), hold=False)
            self.catching_up = True
            self.set_timer("catch_up", 2 * self.heartbeat)

    def on_learn(self, src: str, msg: Learn) -> None:
        if self.role == "leader":
            last = min(self.applied, msg.first + _LEARNED_AT_ONCE - 1)
            commands = tuple([self.votes[slot].command for slot in range(msg.first, last + 1)])
            self.send(src, Learned(self.ballot, msg.first, commands), hold=False)

    def on_learned(self, src: str, msg: Learned) -> None:
        if msg.ballot < self.promised:
            return
        self.follow(src, msg.ballot)
        if msg.ballot > self.promised:
            self.promised = msg.ballot
        before = self.applied
        for slot, command in enumerate(msg.commands, msg.first):
            if slot > self.applied:
                self.votes[slot] = Vote(msg.ballot, command)
                self.last_slot = max(self.last_slot, slot)
                self.chosen.add(slot)
        self.advance()
        if before < self.applied < self.commit_heard:
            self.send(src, Learn(self.applied + 1), hold=False)


@dataclass(frozen=True, kw_only=True)
class MultiPaxos(System):
    """Multi-Paxos with a stable leader.

    Parameters
    ----------
    nodes:
        How many replicas.
    leader:
        The member that campaigns at once; None: the first.
    phase1, phase2:
        Quorums of acceptors: a `QuorumSystem`, a count, or None for majorities. Every quorum of phase 1 must
        meet every quorum of phase 2.
    lease:
        Seconds for which acceptors answer nobody but the leader, so that it reads without a slot; None: reads
        go through the log. Longer than a heartbeat, and, under the drift, no longer than the detection timeout.
    drift:
        Clocks run at rates between ``1 - drift`` and ``1 + drift``; what leases rely on.
    window:
        How many slots may be proposed and not yet chosen; None: any number.
    batch, linger:
        Up to ``batch`` commands that wait for the window share a slot, or that come within ``linger`` seconds.
    snapshot_every, retain:
        A snapshot is taken every so many slots, and the log before the last ``retain`` (None: as many as
        ``snapshot_every``) slots of it deleted; None: the log is kept whole.

    Raises ValueError for settings that cannot work, such as quorums that do not meet (unless ``unsafe``).
    """

    nodes: int = 5
    leader: str | None = None
    phase1: QuorumSystem | int | None = None
    phase2: QuorumSystem | int | None = None
    lease: float | None = None
    drift: float = 0.0
    window: int | None = None
    batch: int = 1
    linger: float = 0.0
    snapshot_every: int | None = None
    retain: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(type(self).__name__, "nodes", self.nodes, 1)
        if self.leader is not None and self.leader not in self.names:
            raise ValueError(f"{type(self).__name__}: there is no member {self.leader!r} to lead")
        refuse_disjoint(self, self.phase1, self.phase2, self.names)
        check_options(self)

    @property
    def retained(self) -> int:
        """How many slots before a snapshot are kept for replicas that lag a little."""
        return (self.snapshot_every or 0) if self.retain is None else self.retain

    @property
    def usable_lease(self) -> float:
        """Seconds on the leader's clock for which a lease certainly holds, counted from its request."""
        return (self.lease or 0.0) * (1 - self.drift) / (1 + self.drift)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the members."""
        return names("n", self.nodes)

    @property
    def first_leader(self) -> str:
        """Who campaigns at once."""
        return self.leader or self.names[0]

    @property
    def times(self) -> tuple[float, float]:
        """Heartbeat and detection timeout in seconds, where the scenario has not filled them in: 50 ms, ten."""
        heartbeat = self.heartbeat or 0.05
        return heartbeat, self.detection or 10 * heartbeat

    def phase1_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 1."""
        return as_quorums(self.phase1).over(self.names)

    def phase2_test(self) -> QuorumTest:
        """Whether a set of acceptors is a quorum of phase 2."""
        return as_quorums(self.phase2).over(self.names)

    def members(self) -> tuple[Member, ...]:
        node_class: type[Node] = MultiPaxosNode
        if any((self.lease, self.window, self.batch > 1, self.snapshot_every)):
            from sim.protocols.consensus.multipaxos_options import FullMultiPaxosNode

            node_class = FullMultiPaxosNode
        return tuple(Member(name, node_class) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        return Client

    @property
    def claims(self) -> str | None:
        return "linearizable"

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        if role not in self.leader_roles:
            return super().holder(role, nodes)
        leaders = [
            node for node in nodes.values() if isinstance(node, MultiPaxosNode) and node.role == "leader"
        ]
        return max(leaders, key=lambda node: node.ballot).name if leaders else None

    def invariants(self) -> Iterable[Invariant]:
        laws = MultiPaxosSafety(
            is_phase1_quorum=self.phase1_test(),
            is_phase2_quorum=self.phase2_test(),
            leases=self.lease is not None,
        )
        return (laws,)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that neither the most advanced replica has applied nor any live one has accepted."""
        replicas = [node for node in nodes.values() if isinstance(node, MultiPaxosNode)]
        if not replicas:
            return None
        best = max(replicas, key=lambda node: node.applied)
        to_come = {
            (command.session, command.sequence)
            for node in replicas
            for slot, vote in node.votes.items()
            if slot > best.applied
            for command in commands_of(vote.command)
        }
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
