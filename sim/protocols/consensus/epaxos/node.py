"""Egalitarian Paxos (Moraru, Andersen, Kaminsky, SOSP 2013): no leader; each replica leads the commands of its clients.

A command is committed with its *dependencies*, the commands that interfere with it (same key, not both reads), and
a *sequence number*. If a fast quorum sees the same dependencies, one round trip commits (the fast path); otherwise
the union is accepted in a second one (the slow path). Committed commands are executed in the order of the strongly
connected components of the graph of dependencies (`sim.protocols.consensus.epaxos.replica`).

With three replicas the fast quorum is the leader and one other, its *partner*, which it names in PreAccept (figure 2
sends PreAccept to the members of one fast quorum). A single reply cannot disagree with others, so one round trip
commits even if commands interfere. A recovery without the leader asks the partner (or waits: the other two replicas are
a majority), and adopts the attributes that the partner has pre-accepted: no others can have been committed fast. The
leader and its partner are a majority that has pre-accepted these attributes, so they are correct even if nothing was
committed. If the partner had pre-accepted nothing before it promised a higher ballot, nothing was or will be committed
fast.

Assumptions: n = 2F + 1 replicas, at most F down. The fast quorum is 2F with the simplified recovery of figure 3.

Departures from the paper:

- Two ballots per instance, promised and accepted: one variable for both loses commits (Sutra, arXiv 1906.10917).
- The optimised fast quorum F + floor((F+1)/2) is not offered here: the recovery printed for it has known faults
  (arXiv 2511.02743, section 7). `sim.protocols.consensus.epaxos_star` has that quorum with a recovery that is proved.
- PreAccept goes to all, as in the authors' program unless it is thrifty; replicas outside the fast quorum help the slow
  path only. With three replicas, that program requires the other replica to reply with the leader's own attributes, and
  takes the slow path if commands interfere; naming the partner keeps the paper's one round trip. The partner is the
  replica that answered the last command first (initially the next in the ring), so it is the nearest that is up.
- Dependencies on executed commands are cut to the last write and the reads since (see `Interference`).
- The application determines which keys commands touch (a scan touches all), and so which ones interfere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.message import replace
from sim.node import Node
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.commit_latency import OfInstances
from sim.protocols.consensus.epaxos.execution import Interference
from sim.protocols.consensus.epaxos.messages import (
    ACCEPTED,
    COMMITTED,
    PREACCEPTED,
    UNKNOWN,
    Accept,
    AcceptOk,
    Commit,
    Instance,
    PreAccept,
    PreAcceptOk,
    Prepare,
    PrepareOk,
    Record,
)
from sim.protocols.consensus.epaxos.replica import EgalitarianReplica, EgalitarianSystem
from sim.system import Invariant

__all__ = ["EPaxos", "EPaxosNode"]


class _Led:
    """The state of an instance that a replica currently leads."""

    __slots__ = ("asked", "avoid_fast", "ballot", "command", "deps", "partner", "phase", "replies", "seq")

    def __init__(
        self, ballot: Ballot, command: Command | None, seq: int, deps: tuple[Instance, ...], phase: str
    ) -> None:
        self.ballot = ballot
        self.command = command
        self.seq = seq
        self.deps = deps
        self.phase = phase  # "preaccept", "accept" or "prepare"
        self.asked = 0  # times, in this phase
        self.replies: dict[str, Any] = {}
        self.avoid_fast = False
        self.partner = ""  # with three replicas


class EPaxosNode(EgalitarianReplica):
    """A replica: leader of its clients' commands, acceptor of all others."""

    settings: EPaxos
    nothing = Record(UNKNOWN, None, 0, (), ZERO, ZERO)

    def on_start(self) -> None:
        super().on_start()
        self.f = (len(self.members) - 1) // 2
        self.fast_others = self.settings.fast_quorum_size - 1  # members of a fast quorum besides the leader
        self.interference = Interference(self.store.application)
        for instance, record in list(self.instances.items()):
            self.remember(instance, record)
            if record.command is not None:
                self.interference.put(instance, record.command, record.seq)
        for instance, record in self.instances.items():
            if record.status == COMMITTED:
                self.execute(instance)
            else:
                self.suspect(instance)

    def learn(
        self,
        instance: Instance,
        status: int,
        command: Command,
        seq: int,
        deps: tuple[Instance, ...],
        ballot: Ballot,
        partner: str = "",
    ) -> None:
        """Store this replica's new record of an instance."""
        known = self.record_of(instance)
        if known.command is not None and known.command != command:
            self.interference.drop(instance, known.command)
        promised = max(known.promised, ballot)
        self.remember(instance, Record(status, command, seq, deps, promised, ballot, partner))
        if instance not in self.executed:
            self.interference.put(instance, command, seq)

    # Phase 1 at the command leader (figure 2)

    def lead(self, instance: Instance, command: Command) -> None:
        self.preaccept(instance, Ballot(0, self.name), command)

    def preaccept(
        self, instance: Instance, ballot: Ballot, command: Command, avoid_fast: bool = False
    ) -> None:
        """Establish the attributes, and ask the others for theirs."""
        seq, found = self.interference.seen_by(command, instance)
        deps = tuple(found)
        partner = "" if avoid_fast else self.partner
        self.learn(instance, PREACCEPTED, command, seq, deps, ballot, partner)
        led = self.led[instance] = _Led(ballot, command, seq, deps, "preaccept")
        led.avoid_fast, led.partner = avoid_fast, partner
        if not self.peers:
            self.commit(instance, led)
            return
        asked = self.peers if avoid_fast else self.first_pre_asked(partner)
        self.broadcast(PreAccept(instance, ballot, command, seq, deps, partner), to=asked)
        self.await_answers(instance, led)

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
        self.be_patient(msg.instance)
        seq, found = self.interference.seen_by(msg.command, msg.instance)
        seq = max(seq, msg.seq)
        deps = tuple(sorted({*found, *msg.deps} - {msg.instance}))
        self.learn(msg.instance, PREACCEPTED, msg.command, seq, deps, msg.ballot, msg.partner)
        self.send(src, PreAcceptOk(msg.instance, msg.ballot, seq, deps))

    def on_pre_accept_ok(self, src: str, msg: PreAcceptOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "preaccept")
        if led is not None:
            self.keep_reply(src, led, msg)
            self.decide(msg.instance, led, may_wait=True)

    def decide(self, instance: Instance, led: _Led, *, may_wait: bool) -> None:
        """Fast path if a fast quorum agrees; slow path with F replies if it cannot, or after the timeout."""
        replies = list(led.replies.values())
        if len(replies) < self.f:
            return
        fast = [r for src, r in led.replies.items() if led.partner in ("", src)]
        alike = all((r.seq, r.deps) == (fast[0].seq, fast[0].deps) for r in fast)
        if alike and not led.avoid_fast:
            if len(fast) >= self.fast_others:
                led.seq, led.deps = fast[0].seq, fast[0].deps
                self.commit(instance, led)
                return
            if may_wait:
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
        asked = self.peers if led.avoid_fast else self.first_asked(self.f)
        self.broadcast(Accept(instance, led.ballot, led.command, led.seq, led.deps), to=asked)
        self.await_answers(instance, led)

    def on_accept(self, src: str, msg: Accept) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        if not (known.status == ACCEPTED and known.accepted == msg.ballot):
            self.stand_down(msg.instance, msg.ballot)
            self.be_patient(msg.instance)
            self.learn(msg.instance, ACCEPTED, msg.command, msg.seq, msg.deps, msg.ballot)
        self.send(src, AcceptOk(msg.instance, msg.ballot))

    def on_accept_ok(self, src: str, msg: AcceptOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "accept")
        if led is not None:
            led.replies[src] = msg
            if len(led.replies) >= self.f:
                self.commit(msg.instance, led)

    # Commit

    def commit(self, instance: Instance, led: _Led) -> None:
        """Send the final attributes to all others."""
        assert led.command is not None
        self.committed(instance, led.command, led.seq, led.deps, tell=True)

    def on_commit(self, src: str, msg: Commit) -> None:
        if self.record_of(msg.instance).status != COMMITTED:
            self.committed(msg.instance, msg.command, msg.seq, msg.deps)

    def committed(
        self,
        instance: Instance,
        command: Command,
        seq: int,
        deps: tuple[Instance, ...],
        *,
        tell: bool = False,
    ) -> None:
        """Store the chosen attributes, this replica's own decision if ``tell``; the command is then executed."""
        known = self.record_of(instance)
        self.learn(instance, COMMITTED, command, seq, deps, known.promised)
        self.led.pop(instance, None)
        self.cancel_timer("retry", instance)
        if tell:
            self.announce(instance)
        else:
            self.settle(instance)

    def commit_of(self, instance: Instance) -> Commit:
        record = self.record_of(instance)
        return Commit(instance, record.command, record.seq, record.deps)

    # Execution (4.3.2)

    def open_deps(self, instance: Instance) -> list[Instance] | None:
        record = self.record_of(instance)
        if record.status != COMMITTED:
            return None
        return [dep for dep in record.deps if dep not in self.executed]

    def seq_of(self, instance: Instance) -> int:
        seq: int = self.record_of(instance).seq
        return seq

    def apply(self, instance: Instance) -> None:
        record = self.record_of(instance)
        self.interference.executed(instance, record.command, record.seq)
        super().apply(instance)

    # Failures: retry, then explicit prepare (figure 3)

    def on_retry_timeout(self, instance: Instance) -> None:
        """Ask silent replicas again; with a majority of PreAcceptOks, give up the fast path."""
        led: _Led | None = self.led.get(instance)
        if led is None:
            return
        self.await_answers(instance, led, asked=led.asked + 1)
        if led.phase == "preaccept":
            self.decide(instance, led, may_wait=False)
            if led.phase != "preaccept" or instance not in self.led:
                return  # the next phase has just asked them
        silent = [peer for peer in self.peers if peer not in led.replies]
        self.broadcast(self.question(instance, led), to=silent)

    def question(self, instance: Instance, led: _Led) -> PreAccept | Accept | Prepare:
        """The request of a led instance's current phase."""
        if led.phase == "prepare":
            return Prepare(instance, led.ballot)
        assert led.command is not None
        if led.phase == "accept":
            return Accept(instance, led.ballot, led.command, led.seq, led.deps)
        own = self.record_of(instance)
        return PreAccept(instance, led.ballot, led.command, own.seq, own.deps, led.partner)

    def on_recover_timeout(self, instance: Instance) -> None:
        known = self.record_of(instance)
        self.suspected.pop(instance, None)
        if known.status == COMMITTED or instance in self.led:
            return
        ballot = Ballot(known.promised.round + 1, self.name)
        led = self.led[instance] = _Led(ballot, None, 0, (), "prepare")
        led.replies[self.name] = known
        self.promise(instance, ballot)
        self.broadcast(Prepare(instance, ballot))
        self.await_answers(instance, led)

    def promise(self, instance: Instance, ballot: Ballot) -> None:
        """Promise to take part in no lower ballot of this instance."""
        self.remember(instance, replace(self.record_of(instance), promised=ballot))

    def on_prepare(self, src: str, msg: Prepare) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        self.stand_down(msg.instance, msg.ballot)
        self.promise(msg.instance, msg.ballot)
        self.be_patient(msg.instance)
        self.send(src, PrepareOk(msg.instance, msg.ballot, known))

    def on_prepare_ok(self, src: str, msg: PrepareOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "prepare")
        if led is None:
            return
        led.replies[src] = msg.record
        if len(led.replies) > len(self.members) // 2:
            self.recover(msg.instance, led)

    def recover(self, instance: Instance, led: _Led) -> None:
        """With a majority of PrepareOks: finish what may have been decided, or start again (figure 3)."""
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
        """Accepted attributes; or those that F replicas other than the leader pre-accepted alike in its own ballot.

        Where the leader named a partner, the partner's alone.
        """
        for record in latest.values():
            if record.status == ACCEPTED:
                return record
        leader = self.members[instance[0]]
        default = Ballot(0, leader)
        votes = [
            r
            for src, r in latest.items()
            if r.status == PREACCEPTED and r.accepted == default and src != leader and r.partner in ("", src)
        ]
        if leader in latest and latest[leader].accepted == default:
            return None  # it has not committed, and has promised not to
        for record in votes:
            alike = [r for r in votes if (r.seq, r.deps) == (record.seq, record.deps)]
            if len(alike) >= self.f:
                return record
        return None


@dataclass(frozen=True, kw_only=True)
class EPaxos(EgalitarianSystem):
    """Egalitarian Paxos with ``nodes`` replicas; each client uses the nearest one.

    Parameters
    ----------
    nodes:
        How many replicas (odd, >= 1), named n0, n1, ...
    fast_quorum:
        How many replicas, including the leader, must agree for the fast path; None: 2F, the minimum for the recovery
        of figure 3.
    thrifty:
        Send PreAccept to a fast quorum only and Accept to a majority, and to the others if these do not answer in
        time.
    record_commits:
        Record when each command is committed and executed, in seconds after its leader got it (events).

    Raises ValueError for settings that cannot work.
    """

    fast_quorum: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nodes % 2 == 0:
            raise ValueError(f"EPaxos: nodes must be odd (n = 2F + 1), not {self.nodes!r}")
        if self.fast_quorum is not None:
            majority = self.nodes // 2 + 1
            if self.fast_quorum < majority:
                raise ValueError(
                    f"EPaxos: fast_quorum must be an integer of at least {majority}, not {self.fast_quorum!r}"
                )
            if self.fast_quorum > self.nodes:
                raise ValueError(
                    f"EPaxos: fast_quorum={self.fast_quorum!r} is more than {self.nodes} replicas"
                )
            if self.fast_quorum < self.nodes - 1 and not self.unsafe:
                raise ValueError(
                    f"EPaxos: the recovery of figure 3 needs a fast quorum of 2F = {self.nodes - 1} of "
                    f"{self.nodes}, not {self.fast_quorum!r} (EPaxosStar has smaller ones); unsafe=True runs it"
                )

    @property
    def fast_quorum_size(self) -> int:
        """How many replicas, including the leader, must agree for the fast path."""
        return max(self.nodes - 1, 1) if self.fast_quorum is None else self.fast_quorum

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(EPaxosNode, OfInstances)

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.consensus.epaxos.invariants import EPaxosSafety, epaxos_promises

        return (EPaxosSafety(application=self.application), epaxos_promises())
