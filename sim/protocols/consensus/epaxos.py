"""Egalitarian Paxos (Moraru, Andersen, Kaminsky, SOSP 2013): no leader; any replica leads the commands it gets.

A command is committed with its *dependencies*, the commands that interfere with it (same key, not both reads), and
a *sequence number*. If a fast quorum sees the same dependencies, one round trip commits (the fast path); otherwise
the union is accepted in a second one (the slow path). Committed commands are executed in the order of the strongly
connected components of the graph of dependencies.

Assumptions: n = 2F + 1 replicas, at most F down. The fast quorum is 2F with the simplified recovery of figure 3.

Departures from the paper:

- Two ballots per instance, promised and accepted: one variable for both loses commits (Sutra, arXiv 1906.10917).
- The optimised fast quorum F + floor((F+1)/2) is not offered: the recovery printed for it has known faults, and the one
  that is proved (EPaxos*, arXiv 2511.02743) is not built here.
- With three replicas, where one other is enough for the fast path, its attributes must be the leader's own, and a
  recovery takes the smaller of two that differ: figure 3 does not say which.
- Dependencies on executed commands are cut to the last write and the reads since (see `Interference`).
- A command takes effect once by its (session, number), as commands of one session on different keys do not interfere.
- Instances are never collected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.node import Node, durable_map
from sim.protocols.client import Client, Reply, Request
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.epaxos_execution import Interference, execution_order
from sim.protocols.consensus.epaxos_messages import (
    ACCEPTED,
    COMMITTED,
    PREACCEPTED,
    UNKNOWN,
    Accept,
    AcceptOk,
    Commit,
    Instance,
    Nack,
    PreAccept,
    PreAcceptOk,
    Prepare,
    PrepareOk,
    Record,
)
from sim.protocols.consensus.settings import at_least, names
from sim.protocols.kv import NOOP, Command, KeyValueStore, Result
from sim.system import Invariant, Member, System

__all__ = ["EPaxos", "EPaxosNode", "NearestClient"]

NOTHING = Record(UNKNOWN, None, 0, (), ZERO, ZERO)


class _Led:
    """What a replica knows of a command that it leads now."""

    __slots__ = ("avoid_fast", "ballot", "command", "deps", "phase", "replies", "seq")

    def __init__(
        self, ballot: Ballot, command: Command | None, seq: int, deps: tuple[Instance, ...], phase: str
    ) -> None:
        self.ballot = ballot
        self.command = command
        self.seq = seq
        self.deps = deps
        self.phase = phase  # "preaccept", "accept" or "prepare"
        self.replies: dict[str, Any] = {}
        self.avoid_fast = False


class EPaxosNode(Node):
    """A replica: leader of the commands that its clients bring, acceptor of all others."""

    settings: EPaxos
    instances = durable_map()  # instance -> Record

    def on_start(self) -> None:
        self.row = self.members.index(self.name)
        self.f = (len(self.members) - 1) // 2
        self.next_number = 1 + max((i for row, i in self.instances if row == self.row), default=0)
        self.led: dict[Instance, _Led] = {}
        self.waiting: dict[Instance, tuple[str, Command, float]] = {}  # who asked for it, and when
        self.blocked: dict[Instance, list[Instance]] = {}  # not committed -> what waits for it
        self.interference = Interference()
        self.store = KeyValueStore()
        self.effects: dict[tuple[int, int], Result] = {}  # write -> what it came to
        self.executed: dict[Instance, None] = {}
        for instance, record in self.instances.items():
            if record.command is not None:
                self.interference.put(instance, record.command, record.seq)
        for instance, record in list(self.instances.items()):
            if record.status == COMMITTED:
                self.execute(instance)
            else:
                self.suspect(instance)

    def record_of(self, instance: Instance) -> Record:
        """What is known of an instance here."""
        found: Record = self.instances.get(instance, NOTHING)
        return found

    def learn(
        self,
        instance: Instance,
        status: int,
        command: Command,
        seq: int,
        deps: tuple[Instance, ...],
        ballot: Ballot,
    ) -> None:
        """Write down what this replica holds of an instance from now on."""
        known = self.record_of(instance)
        if known.command is not None and known.command != command:
            self.interference.drop(instance, known.command)
        promised = max(known.promised, ballot)
        self.instances[instance] = Record(status, command, seq, deps, promised, ballot)
        if instance not in self.executed:
            self.interference.put(instance, command, seq)

    # Phase 1 at the command leader (figure 2)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        result = self.effects.get((command.session, command.sequence))
        if result is not None:
            self.answer(src, command, result)
            return
        for instance, (_, known, since) in self.waiting.items():
            if known == command:
                self.waiting[instance] = (src, command, since)
                return
        instance = (self.row, self.next_number)
        self.next_number += 1
        self.waiting[instance] = (src, command, self.now)
        self.preaccept(instance, Ballot(0, self.name), command)

    def preaccept(
        self, instance: Instance, ballot: Ballot, command: Command, avoid_fast: bool = False
    ) -> None:
        """Establish the attributes, and ask the others for theirs."""
        seq, found = self.interference.seen_by(command, instance)
        deps = tuple(found)
        self.learn(instance, PREACCEPTED, command, seq, deps, ballot)
        led = self.led[instance] = _Led(ballot, command, seq, deps, "preaccept")
        led.avoid_fast = avoid_fast
        if not self.peers:
            self.commit(instance, led)
            return
        self.broadcast(PreAccept(instance, ballot, command, seq, deps), to=self.first_asked(avoid_fast))
        self.set_timer("retry", self.settings.heartbeat_interval, instance)

    def first_asked(self, avoid_fast: bool) -> tuple[str, ...]:
        """Thrifty: only a fast quorum is asked at first."""
        if not self.settings.thrifty or avoid_fast:
            return self.peers
        start = self.row
        ring = [self.members[(start + k) % len(self.members)] for k in range(1, len(self.members))]
        return tuple(ring[: self.fast_others])

    @property
    def fast_others(self) -> int:
        """How many besides the leader a fast quorum of 2F has (all others where F is 1)."""
        return max(2 * self.f - 1, 1) if len(self.members) > 1 else 0

    def on_pre_accept(self, src: str, msg: PreAccept) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        if known.status == PREACCEPTED and known.accepted == msg.ballot:
            self.send(src, PreAcceptOk(msg.instance, msg.ballot, known.seq, known.deps))
            return
        if known.status >= ACCEPTED and known.accepted >= msg.ballot:
            return
        self.stand_down(msg.instance, msg.ballot)
        seq, found = self.interference.seen_by(msg.command, msg.instance)
        seq = max(seq, msg.seq)
        deps = tuple(sorted({*found, *msg.deps} - {msg.instance}))
        self.learn(msg.instance, PREACCEPTED, msg.command, seq, deps, msg.ballot)
        self.suspect(msg.instance)
        self.send(src, PreAcceptOk(msg.instance, msg.ballot, seq, deps))

    def on_pre_accept_ok(self, src: str, msg: PreAcceptOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "preaccept")
        if led is not None:
            led.replies[src] = msg
            self.decide(msg.instance, led, patient=True)

    def decide(self, instance: Instance, led: _Led, *, patient: bool) -> None:
        """Fast path if a fast quorum agrees; slow path with F replies when it cannot, or when patience ends."""
        replies = list(led.replies.values())
        if len(replies) < self.f:
            return
        # Two of three are the leader and anybody. A recovery could not tell which of the others it was, but for this:
        # that one's attributes are the leader's own, of which all others hold at least as much.
        first = (led.seq, led.deps) if self.f == 1 else (replies[0].seq, replies[0].deps)
        alike = all((r.seq, r.deps) == first for r in replies)
        if alike and not led.avoid_fast:
            if len(replies) >= self.fast_others:
                led.seq, led.deps = replies[0].seq, replies[0].deps
                self.commit(instance, led)
                return
            if patient:
                return
        led.seq = max(r.seq for r in replies)
        led.deps = tuple(sorted({dep for r in replies for dep in r.deps}))
        self.accept(instance, led)

    # The Paxos-Accept phase

    def accept(self, instance: Instance, led: _Led) -> None:
        """Let a majority accept the attributes."""
        assert led.command is not None
        led.phase = "accept"
        led.replies = {}
        self.learn(instance, ACCEPTED, led.command, led.seq, led.deps, led.ballot)
        self.broadcast(Accept(instance, led.ballot, led.command, led.seq, led.deps))
        self.set_timer("retry", self.settings.heartbeat_interval, instance)

    def on_accept(self, src: str, msg: Accept) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        if not (known.status == ACCEPTED and known.accepted == msg.ballot):
            self.stand_down(msg.instance, msg.ballot)
            self.learn(msg.instance, ACCEPTED, msg.command, msg.seq, msg.deps, msg.ballot)
            self.suspect(msg.instance)
        self.send(src, AcceptOk(msg.instance, msg.ballot))

    def on_accept_ok(self, src: str, msg: AcceptOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "accept")
        if led is not None:
            led.replies[src] = msg
            if len(led.replies) >= self.f:
                self.commit(msg.instance, led)

    # Commit

    def commit(self, instance: Instance, led: _Led) -> None:
        """The attributes are final: say so to everyone."""
        assert led.command is not None
        self.broadcast(Commit(instance, led.command, led.seq, led.deps), hold=False)
        self.committed(instance, led.command, led.seq, led.deps)

    def on_commit(self, src: str, msg: Commit) -> None:
        if self.record_of(msg.instance).status != COMMITTED:
            self.committed(msg.instance, msg.command, msg.seq, msg.deps)

    def committed(self, instance: Instance, command: Command, seq: int, deps: tuple[Instance, ...]) -> None:
        """Remember what was chosen, and execute what can be executed now."""
        known = self.record_of(instance)
        self.learn(instance, COMMITTED, command, seq, deps, known.promised)
        self.led.pop(instance, None)
        self.cancel_timer("retry", instance)
        self.cancel_timer("recover", instance)
        if self.settings.record_commits and instance in self.waiting:
            self.record("committed", instance=instance, latency=self.now - self.waiting[instance][2])
        self.execute(instance)
        for other in self.blocked.pop(instance, ()):
            self.execute(other)

    # Execution (4.3.2)

    def execute(self, instance: Instance) -> None:
        """Execute a committed command after all that it depends on; or wait for what is not committed yet."""
        if instance in self.executed:
            return
        order = execution_order(instance, self.open_deps, lambda i: self.record_of(i).seq)
        if isinstance(order, tuple):
            waiting = self.blocked.setdefault(order, [])
            if instance not in waiting:
                waiting.append(instance)
            self.suspect(order)
            return
        for one in order:
            self.apply(one)

    def open_deps(self, instance: Instance) -> list[Instance] | None:
        """What an instance depends on and is not executed; None while it is not committed."""
        record = self.record_of(instance)
        if record.status != COMMITTED:
            return None
        return [dep for dep in record.deps if dep not in self.executed]

    def apply(self, instance: Instance) -> None:
        """Execute one command; its leader answers the client."""
        record = self.record_of(instance)
        command = record.command
        assert command is not None
        self.executed[instance] = None
        self.interference.executed(instance, command, record.seq)
        result = None
        if command.session >= 0:
            identity = (command.session, command.sequence)
            result = self.effects.get(identity)
            if result is None:
                result = self.effects[identity] = self.store.execute(command)
        self.conclude(instance, command, result)

    def conclude(self, instance: Instance, command: Command, result: Result | None) -> None:
        """Answer who waits for an instance; if a no-op took its place, propose the command again."""
        if instance not in self.waiting:
            return
        client, wanted, since = self.waiting.pop(instance)
        if wanted == command and result is not None:
            if self.settings.record_commits:
                self.record("executed", instance=instance, latency=self.now - since)
            self.answer(client, command, result)
        else:
            self.on_request(client, Request(wanted))

    def answer(self, client: str, command: Command, result: Result) -> None:
        """What is executed is committed: the answer waits for no disk."""
        reply = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.send(client, reply, hold=False)

    # Failures: retry, then explicit prepare (figure 3)

    def leading(self, instance: Instance, ballot: Ballot, phase: str) -> _Led | None:
        """What this replica leads, if a reply of this ballot and phase is for it."""
        led = self.led.get(instance)
        return led if led is not None and led.ballot == ballot and led.phase == phase else None

    def stand_down(self, instance: Instance, ballot: Ballot) -> None:
        """Somebody else leads this instance in a higher ballot."""
        led = self.led.get(instance)
        if led is not None and led.ballot < ballot:
            del self.led[instance]
            self.cancel_timer("retry", instance)

    def refuse(self, src: str, instance: Instance, ballot: Ballot, known: Record) -> bool:
        """Answer what is out of date: with the commit, or with the higher ballot."""
        if known.status == COMMITTED and known.command is not None:
            self.send(src, Commit(instance, known.command, known.seq, known.deps), hold=False)
            return True
        if ballot < known.promised:
            self.send(src, Nack(instance, known.promised))
            return True
        return False

    def on_retry_timeout(self, instance: Instance) -> None:
        """Ask those again who have not answered; with a majority of PreAcceptOks, stop hoping for the fast path."""
        led = self.led.get(instance)
        if led is None:
            return
        self.set_timer("retry", self.settings.heartbeat_interval, instance)
        if led.phase == "preaccept":
            self.decide(instance, led, patient=False)
        led_now = self.led.get(instance)
        if led_now is led:
            silent = [peer for peer in self.peers if peer not in led.replies]
            self.broadcast(self.question(instance, led), to=silent)

    def question(self, instance: Instance, led: _Led) -> PreAccept | Accept | Prepare:
        """What the phase of a led instance asks."""
        if led.phase == "prepare":
            return Prepare(instance, led.ballot)
        assert led.command is not None
        if led.phase == "accept":
            return Accept(instance, led.ballot, led.command, led.seq, led.deps)
        own = self.record_of(instance)
        return PreAccept(instance, led.ballot, led.command, own.seq, own.deps)

    def suspect(self, instance: Instance) -> None:
        """If this instance is not committed in time, its leader may be dead."""
        if instance not in self.led:
            shortest = self.settings.detection_timeout
            self.set_timer("recover", self.random.uniform(shortest, 2 * shortest), instance)

    def on_recover_timeout(self, instance: Instance) -> None:
        known = self.record_of(instance)
        if known.status == COMMITTED or instance in self.led:
            return
        ballot = Ballot(known.promised.round + 1, self.name)
        self.suspect(instance)
        led = self.led[instance] = _Led(ballot, None, 0, (), "prepare")
        led.replies[self.name] = known
        self.promise(instance, ballot)
        self.broadcast(Prepare(instance, ballot))
        self.set_timer("retry", self.settings.heartbeat_interval, instance)

    def promise(self, instance: Instance, ballot: Ballot) -> None:
        """Take part in no lower ballot of this instance any more."""
        known = self.record_of(instance)
        self.instances[instance] = Record(
            known.status, known.command, known.seq, known.deps, ballot, known.accepted
        )

    def on_prepare(self, src: str, msg: Prepare) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        self.stand_down(msg.instance, msg.ballot)
        self.promise(msg.instance, msg.ballot)
        self.suspect(msg.instance)
        self.send(src, PrepareOk(msg.instance, msg.ballot, known))

    def on_prepare_ok(self, src: str, msg: PrepareOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "prepare")
        if led is None:
            return
        led.replies[src] = msg.record
        if len(led.replies) > len(self.members) // 2:
            self.recover(msg.instance, led)

    def recover(self, instance: Instance, led: _Led) -> None:
        """With a majority of PrepareOks: finish what may have been decided, or start afresh (figure 3)."""
        highest = max(record.accepted for record in led.replies.values())
        latest = {src: r for src, r in led.replies.items() if r.accepted == highest and r.command is not None}
        chosen = self.may_be_decided(instance, latest)
        if chosen is not None:
            led.command, led.seq, led.deps = chosen.command, chosen.seq, chosen.deps
            self.accept(instance, led)
            return
        seen = [r.command for r in led.replies.values() if r.command is not None]
        self.preaccept(instance, led.ballot, seen[0] if seen else NOOP, avoid_fast=True)

    def may_be_decided(self, instance: Instance, latest: Mapping[str, Record]) -> Record | None:
        """Accepted attributes; or those that F replicas other than the leader pre-accepted alike in its own ballot."""
        for record in latest.values():
            if record.status == ACCEPTED:
                return record
        leader = self.members[instance[0]]
        default = Ballot(0, leader)
        votes = [
            r
            for src, r in latest.items()
            if r.status == PREACCEPTED and r.accepted == default and src != leader
        ]
        if leader in latest and latest[leader].accepted == default:
            return None  # it has not committed, and has promised not to
        for record in sorted(votes, key=lambda r: (len(r.deps), r.seq, r.deps)):
            alike = [r for r in votes if (r.seq, r.deps) == (record.seq, record.deps)]
            if len(alike) >= self.f:
                return record
        return None

    def on_nack(self, src: str, msg: Nack) -> None:
        """Somebody else leads: wait, and try again with a higher ballot only if nothing comes of it."""
        known = self.record_of(msg.instance)
        if msg.promised > known.promised and known.status != COMMITTED:
            self.stand_down(msg.instance, msg.promised)
            self.promise(msg.instance, msg.promised)
            self.suspect(msg.instance)


class NearestClient(Client):
    """Asks the nearest replica; another one only while that does not answer."""

    def learn(self, src: str, msg: Reply) -> None:
        """Who answers does not lead: there is no leader."""


@dataclass(frozen=True, kw_only=True)
class EPaxos(System):
    """Egalitarian Paxos over ``nodes`` replicas; clients use the nearest.

    Parameters
    ----------
    nodes:
        How many replicas (odd, >= 1), named n0, n1, ...
    thrifty:
        Send PreAccept to a fast quorum only, and to the others if it does not answer in time.
    record_commits:
        Record when each command is committed and executed, in seconds after its leader got it (events).
    """

    nodes: int = 5
    thrifty: bool = False
    record_commits: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("EPaxos", "nodes", self.nodes, 1)
        if self.nodes % 2 == 0:
            raise ValueError(f"EPaxos: nodes must be odd (n = 2F + 1), not {self.nodes!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the replicas."""
        return names("n", self.nodes)

    @property
    def heartbeat_interval(self) -> float:
        """Seconds after which unanswered messages are sent again; 50 ms where nothing else is said."""
        return 0.05 if self.heartbeat is None else self.heartbeat

    @property
    def detection_timeout(self) -> float:
        """The shortest time (seconds) after which another replica takes over an uncommitted instance."""
        return 10 * self.heartbeat_interval if self.detection is None else self.detection

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, EPaxosNode) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        return NearestClient

    @property
    def claims(self) -> str | None:
        return "linearizable"

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.consensus.epaxos_invariants import EPaxosSafety

        return (EPaxosSafety(),)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that no live replica has executed or holds as committed."""
        replicas = [node for node in nodes.values() if isinstance(node, EPaxosNode)]
        if not replicas:
            return None
        held = {
            (r.command.session, r.command.sequence)
            for node in replicas
            for r in node.instances.values()
            if r.command is not None and r.status >= PREACCEPTED
        }
        return sum(1 for identity in acknowledged if identity not in held)
