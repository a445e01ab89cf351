"""EPaxos* (Ryabinin, Gotsman, Sutra, "Making Democracy Work", OPODIS 2025, arXiv 2511.02743): simpler, and proved.

The fast path needs n - e replicas, the least possible: with e = ceil((f+1)/2) these are F + floor((F+1)/2) of 2F + 1. A
command is committed fast if n - e replicas pre-accept it with exactly the dependencies that its coordinator proposed;
otherwise a second round accepts the union of their dependencies (figure 3 of the paper). Committed commands are
executed by strongly connected components, and within a component by instance: there are no sequence numbers.

Recovery (figure 5). A new coordinator begins a higher ballot with a quorum Q of n - f replicas. If one of them has
accepted dependencies, the coordinator adopts these. If the first coordinator is in Q, it has not committed fast and
never will: a no-op is safe. Otherwise the command may have been committed fast with the dependencies D with which it
was proposed, but only if |Q| - e replicas of Q pre-accepted exactly D. Then Q *validates* D: each replica makes the
command known to later commands, and reports the conflicting commands that are not in D and do not depend on it. If
there are none, D may be accepted. If one of them is committed, the command was not committed fast, because of two
conflicting commands that are committed, at least one depends on the other. A fast commit is also impossible if

- only |Q| - e replicas of Q pre-accepted D, so that all replicas outside Q must have been in the fast quorum, but one
  of them coordinates an invalidating command that does not depend on this one: it pre-accepted that command first; or
- the recovery of an invalidating command waits, and more than n - f - e replicas support that command: they and its
  coordinator pre-accepted it before this command, so too few replicas are left for a fast quorum.

Otherwise the new coordinator *waits* until the invalidating commands are committed, or the first coordinator answers.

With three replicas (f = e = 1) a fast quorum (n - e) is a majority (n - f). Then the union of its dependencies is what
the slow path would propose, and a fast commit is safe if a recovery finds the same dependencies. So the coordinator
names its *partner* in PreAccept, and commits with the dependencies in the partner's answer: one round trip, with or
without conflicts, as in SOSP 2013. A recovery without the first coordinator has the partner in Q. If the partner has
pre-accepted, its dependencies may have been committed fast, and are right in any case. If not, it never will, and a
no-op is safe. Nothing is left to validate.

Assumptions: n >= max(2e + f - 1, 2f + 1), and at most f replicas are down at once. In the paper, processes stop
forever. Here they restart from disk; what they forget (which replicas have answered) has the same effect as if those
messages had been lost. Departures:

- Messages may be lost here, so they are sent again; a replica that is refused gets the higher ballot (Nack), and
  stops. A replica that is behind fetches commits (`sim.protocols.consensus.epaxos.replica`). A Commit is accepted in
  any ballot: it is the same in all.
- With three replicas, too, the paper counts any n - e that pre-accept exactly what was proposed. Both rules together
  would leave two candidates to a recovery. So the fast path needs the answer of the partner, not of any replica: if the
  partner is down, one command takes the slow path, and the next one names the replica that answered first
  (`epaxos.replica`).
- *Thrifty* asks a fast quorum, and an accept quorum, first, and all others later. Recovery never assumes which replicas
  were in the fast quorum, so for it the messages to the others are only late.
- Dependencies are a prefix of each row, which the first coordinator has executed, and single instances (`Deps`).
- In the paper a no-op conflicts with everything, because a replica that accepts a no-op forgets the command. Here a
  replica continues to report the command that was first proposed (initCmd) until the no-op is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.message import replace
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.epaxos import (
    ACCEPTED,
    COMMITTED,
    PREACCEPTED,
    UNKNOWN,
    Conflicts,
    EgalitarianReplica,
    Instance,
)
from sim.protocols.consensus.epaxos_star.messages import (
    NO_DEPS,
    Accept,
    AcceptOk,
    Commit,
    Deps,
    PreAccept,
    PreAcceptOk,
    Record,
    Recover,
    RecoverOk,
    Validate,
    ValidateOk,
    Waiting,
)

if TYPE_CHECKING:
    from sim.protocols.consensus.epaxos_star.system import EPaxosStar

__all__ = ["EPaxosStarNode"]


class _Led:
    """The state of an instance that a replica currently coordinates."""

    __slots__ = (
        "against",
        "asked",
        "ballot",
        "command",
        "deps",
        "partner",
        "phase",
        "quorum",
        "replies",
        "support",
        "validated",
    )

    def __init__(self, ballot: Ballot, phase: str, command: Command | None, deps: Deps) -> None:
        self.ballot = ballot
        self.phase = phase  # "preaccept", "accept", "recover", "validate" or "wait"
        self.command = command
        self.deps = deps
        self.partner = ""  # with three replicas
        self.asked = 0  # times, in this phase
        self.replies: dict[str, Any] = {}  # of the phase; those of "recover" stay to the end
        self.quorum: tuple[str, ...] = ()  # Q
        self.support = 0  # |R|
        self.validated: dict[str, tuple[tuple[Instance, bool], ...]] = {}
        self.against: dict[Instance, bool] = {}  # I


class EPaxosStarNode(EgalitarianReplica):
    """A replica: coordinator of its clients' commands, acceptor of all others."""

    settings: EPaxosStar
    nothing = Record(UNKNOWN, None, NO_DEPS, None, None, ZERO, ZERO)

    def on_start(self) -> None:
        super().on_start()
        self.n, self.f, self.e = len(self.members), self.settings.f, self.settings.e
        self.waits: dict[Instance, _Led] = {}  # those of them in phase "wait"
        self.supports: dict[Instance, int] = {}  # what Waiting messages said
        self.conflicts = Conflicts(self.store.application, self.n)
        for instance, record in list(self.instances.items()):
            self.remember(instance, record)
        for instance, record in list(self.instances.items()):
            if record.status == COMMITTED:
                self.execute(instance)
            else:
                self.suspect(instance)

    def remember(self, instance: Instance, record: Record) -> None:
        super().remember(instance, record)
        command = record.init_command or record.command
        if record.status == COMMITTED and record.command == NOOP:
            self.conflicts.drop(instance)
        elif command is not None:
            self.conflicts.put(instance, command)

    def change(self, instance: Instance, **changes: Any) -> None:
        """Store changes of an instance's record."""
        self.remember(instance, replace(self.record_of(instance), **changes))

    # The commit protocol (figure 3)

    def lead(self, instance: Instance, command: Command) -> None:
        prefix = tuple(self.prefix)
        deps = Deps(prefix, self.conflicts.of(command, prefix, instance))
        self.preaccepted(instance, command, deps, deps, self.partner)
        led = self.led[instance] = _Led(ZERO, "preaccept", command, deps)
        led.partner = self.partner
        self.broadcast(self.question(instance, led), to=self.first_pre_asked(led.partner))
        self.await_answers(instance, led)
        self.decide(instance, led, may_wait=True)

    def preaccepted(
        self, instance: Instance, command: Command, proposed: Deps, deps: Deps, partner: str = ""
    ) -> None:
        """Pre-accept a command."""
        self.change(
            instance,
            status=PREACCEPTED,
            command=command,
            deps=deps,
            init_command=command,
            init_deps=proposed,
            partner=partner,
        )

    def on_pre_accept(self, src: str, msg: PreAccept) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, ZERO, known):
            return
        if known.status == UNKNOWN:
            found = self.conflicts.of(msg.command, msg.deps.prefix, msg.instance)
            self.preaccepted(msg.instance, msg.command, msg.deps, msg.deps.joined(found), msg.partner)
            self.suspect(msg.instance)
            known = self.record_of(msg.instance)
        if known.status == PREACCEPTED:
            self.send(src, PreAcceptOk(msg.instance, known.deps))

    def on_pre_accept_ok(self, src: str, msg: PreAcceptOk) -> None:
        led = self.leading(msg.instance, ZERO, "preaccept")
        if led is not None:
            self.keep_reply(src, led, msg.deps)
            self.decide(msg.instance, led, may_wait=True)

    def decide(self, instance: Instance, led: _Led, *, may_wait: bool) -> None:
        """With n - f: the slow path if a reply adds dependencies, or after the timeout; with n - e: the fast path."""
        size = len(led.replies) + 1  # with its own: it has stored what it asks of others
        if size < self.n - self.f:
            return
        if led.partner in led.replies:
            led.deps = led.replies[led.partner]
            self.commit(instance, led)
            return
        if led.partner or all(deps == led.deps for deps in led.replies.values()):
            if size >= self.n - self.e and not led.partner:
                self.commit(instance, led)
                return
            if may_wait:
                return
        for deps in led.replies.values():
            led.deps = led.deps.joined(deps.others)
        self.accept(instance, led, led.command, led.deps)

    def accept(self, instance: Instance, led: _Led, command: Command | None, deps: Deps) -> None:
        """Let a quorum accept a command and its dependencies."""
        assert command is not None
        self.waits.pop(instance, None)
        led.phase, led.command, led.deps, led.replies = "accept", command, deps, {}
        self.change(instance, status=ACCEPTED, command=command, deps=deps, accepted=led.ballot)
        self.broadcast(Accept(instance, led.ballot, command, deps), to=self.first_asked(self.n - self.f - 1))
        self.await_answers(instance, led)

    def on_accept(self, src: str, msg: Accept) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        if not (known.status == ACCEPTED and known.accepted == msg.ballot):
            self.stand_down(msg.instance, msg.ballot)
            self.be_patient(msg.instance)
            self.change(
                msg.instance,
                status=ACCEPTED,
                command=msg.command,
                deps=msg.deps,
                promised=msg.ballot,
                accepted=msg.ballot,
            )
        self.send(src, AcceptOk(msg.instance, msg.ballot))

    def on_accept_ok(self, src: str, msg: AcceptOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "accept")
        if led is not None:
            led.replies[src] = msg
            if len(led.replies) + 1 >= self.n - self.f:
                self.commit(msg.instance, led)

    def commit(self, instance: Instance, led: _Led) -> None:
        """Send the decision to all others, once it is on disk."""
        assert led.command is not None
        self.committed(instance, led.command, led.deps, tell=True)

    def on_commit(self, src: str, msg: Commit) -> None:
        if self.record_of(msg.instance).status != COMMITTED:
            self.committed(msg.instance, msg.command, msg.deps)

    def committed(self, instance: Instance, command: Command, deps: Deps, *, tell: bool = False) -> None:
        """Store a decision, this replica's own if ``tell``; it is then executed. Continue waiting recoveries."""
        self.change(instance, status=COMMITTED, command=command, deps=deps)
        self.led.pop(instance, None)
        self.waits.pop(instance, None)
        self.cancel_timer("retry", instance)
        if tell:
            self.announce(instance)
        else:
            self.settle(instance)
        self.look_again(instance)

    def commit_of(self, instance: Instance) -> Commit:
        record = self.record_of(instance)
        return Commit(instance, record.command, record.deps)

    # Execution (figure 1)

    def open_deps(self, instance: Instance) -> list[Instance] | None:
        record = self.record_of(instance)
        if record.status != COMMITTED:
            return None
        before = [
            (row, number)
            for row, last in enumerate(record.deps.prefix)
            for number in range(self.prefix[row] + 1, last + 1)
        ]
        return [dep for dep in (*before, *record.deps.others) if dep not in self.executed]

    def seq_of(self, instance: Instance) -> int:
        return 0  # by instance alone

    # Recovery (figure 5)

    def on_recover_timeout(self, instance: Instance) -> None:
        known, led = self.record_of(instance), self.led.get(instance)
        self.suspected.pop(instance, None)
        if known.status == COMMITTED or (led is not None and led.phase in {"preaccept", "accept"}):
            return
        if led is not None and led.phase == "recover":
            self.be_patient(instance)  # a higher ballot would make answers that are on their way worthless
            return
        ballot = Ballot(known.promised.round + 1, self.name)
        self.stand_down(instance, ballot)
        led = self.led[instance] = _Led(ballot, "recover", None, NO_DEPS)
        led.replies[self.name] = known
        self.be_patient(instance)  # if members of the quorum crash, it begins again
        self.promise(instance, ballot)
        self.broadcast(Recover(instance, ballot))
        self.await_answers(instance, led)

    def promise(self, instance: Instance, ballot: Ballot) -> None:
        self.change(instance, promised=ballot)

    def on_recover(self, src: str, msg: Recover) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known):
            return
        self.stand_down(msg.instance, msg.ballot)
        self.be_patient(msg.instance)
        self.promise(msg.instance, msg.ballot)
        self.send(src, RecoverOk(msg.instance, msg.ballot, known))

    def on_recover_ok(self, src: str, msg: RecoverOk) -> None:
        led = self.led.get(msg.instance)
        if led is None or led.ballot != msg.ballot or led.phase not in {"recover", "validate", "wait"}:
            return
        led.replies[src] = msg.record
        if led.phase == "recover" and len(led.replies) >= self.n - self.f:
            self.recover(msg.instance, led)
        elif led.phase == "wait":
            self.consider(msg.instance, led)

    def recover(self, instance: Instance, led: _Led) -> None:
        """With a quorum Q: adopt an accepted value, or determine whether the command may have been committed fast."""
        highest = max(record.accepted for record in led.replies.values())
        for record in led.replies.values():
            if record.accepted == highest and record.status == ACCEPTED:
                self.accept(instance, led, record.command, record.deps)
                return
        if self.paired:
            self.recover_pair(instance, led)
            return
        support = [
            record
            for record in led.replies.values()
            if record.status == PREACCEPTED and record.deps == record.init_deps
        ]
        first_coordinator = self.members[instance[0]]
        if first_coordinator in led.replies or not support or len(support) < len(led.replies) - self.e:
            self.accept(instance, led, NOOP, NO_DEPS)
            return
        led.phase, led.quorum, led.support = "validate", tuple(led.replies), len(support)
        led.command, led.deps = support[0].command, support[0].deps
        question = Validate(instance, led.ballot, support[0].command, support[0].deps)
        led.validated[self.name] = self.validate(question)
        self.broadcast(question, to=[name for name in led.quorum if name != self.name])
        self.judge(instance, led)

    def recover_pair(self, instance: Instance, led: _Led) -> None:
        """Two of three, none of which has accepted: a fast commit was the first coordinator's and its partner's."""
        if self.members[instance[0]] not in led.replies:
            for name, record in led.replies.items():
                if record.status == PREACCEPTED and record.partner == name:
                    self.accept(instance, led, record.command, record.deps)
                    return
        self.accept(instance, led, NOOP, NO_DEPS)

    def validate(self, msg: Validate) -> tuple[tuple[Instance, bool], ...]:
        """Make the command known here; name those that conflict, are not in D and do not depend on it."""
        self.change(msg.instance, command=msg.command, init_command=msg.command, init_deps=msg.deps)
        against = []
        for other in self.conflicts.of(msg.command, msg.deps.prefix, msg.instance):
            if other in msg.deps.others:
                continue
            record = self.record_of(other)
            if record.status == COMMITTED:
                if msg.instance not in record.deps:
                    against.append((other, True))
            elif record.init_deps is not None and msg.instance not in record.init_deps:
                against.append((other, False))
        return tuple(against)

    def on_validate(self, src: str, msg: Validate) -> None:
        known = self.record_of(msg.instance)
        if self.refuse(src, msg.instance, msg.ballot, known) or known.promised != msg.ballot:
            return
        if known.status != ACCEPTED:  # else a repetition: the ballot is in its Accept phase already
            self.send(src, ValidateOk(msg.instance, msg.ballot, self.validate(msg)))

    def on_validate_ok(self, src: str, msg: ValidateOk) -> None:
        led = self.leading(msg.instance, msg.ballot, "validate")
        if led is not None:
            led.validated.setdefault(src, msg.against)
            self.judge(msg.instance, led)

    def judge(self, instance: Instance, led: _Led) -> None:
        """After all of Q has validated: accept the command, propose a no-op, or wait."""
        if len(led.validated) < len(led.quorum):
            return
        for against in led.validated.values():
            for other, is_committed in against:
                led.against[other] = led.against.get(other, False) or is_committed
        outside = [other for other in led.against if self.members[other[0]] not in led.quorum]
        if not led.against:
            self.accept(instance, led, led.command, led.deps)
        elif any(led.against.values()) or (led.support == len(led.quorum) - self.e and outside):
            self.accept(instance, led, NOOP, NO_DEPS)
        else:
            led.phase = "wait"
            self.waits[instance] = led
            self.broadcast(Waiting(instance, led.support))
            for other in led.against:
                self.suspect(other)
            self.consider(instance, led)

    def on_waiting(self, src: str, msg: Waiting) -> None:
        self.supports[msg.instance] = max(msg.support, self.supports.get(msg.instance, 0))
        self.look_again(msg.instance)

    def look_again(self, instance: Instance) -> None:
        """Continue the recoveries that may wait for an instance, after its record has changed."""
        for waiting, led in list(self.waits.items()):
            if instance in led.against:
                self.consider(waiting, led)

    def consider(self, instance: Instance, led: _Led) -> None:
        """Whether the wait of a recovery is over."""
        records = {other: self.record_of(other) for other in led.against}
        done = [other for other, record in records.items() if record.status == COMMITTED]
        late = {name: record for name, record in led.replies.items() if name not in led.quorum}
        accepted = [record for record in late.values() if record.status == ACCEPTED]
        if any(records[o].command != NOOP and instance not in records[o].deps for o in done):
            self.accept(instance, led, NOOP, NO_DEPS)
        elif len(done) == len(records):
            self.accept(instance, led, led.command, led.deps)
        elif accepted:
            self.accept(instance, led, accepted[0].command, accepted[0].deps)
        elif self.members[instance[0]] in late or any(
            self.supports.get(other, 0) > self.n - self.f - self.e for other in records
        ):
            self.accept(instance, led, NOOP, NO_DEPS)

    # Retransmission

    def stand_down(self, instance: Instance, ballot: Ballot) -> None:
        super().stand_down(instance, ballot)
        if instance not in self.led:
            self.waits.pop(instance, None)

    def on_retry_timeout(self, instance: Instance) -> None:
        """Ask silent replicas again; with a quorum of PreAcceptOks, give up the fast path."""
        led = self.led.get(instance)
        if led is None:
            return
        self.await_answers(instance, led, asked=led.asked + 1)
        if led.phase == "preaccept":
            self.decide(instance, led, may_wait=False)
            if led.phase != "preaccept" or instance not in self.led:
                return
        if led.phase == "validate":
            silent = [name for name in led.quorum if name not in led.validated]
        else:
            silent = [peer for peer in self.peers if peer not in led.replies]
        self.broadcast(self.question(instance, led), to=silent)
        if led.phase == "wait":
            self.broadcast(Waiting(instance, led.support))

    def question(self, instance: Instance, led: _Led) -> PreAccept | Accept | Recover | Validate:
        """The request of a led instance's current phase."""
        if led.phase in {"recover", "wait"}:
            return Recover(instance, led.ballot)
        assert led.command is not None
        if led.phase == "preaccept":
            return PreAccept(instance, led.command, led.deps, led.partner)
        if led.phase == "accept":
            return Accept(instance, led.ballot, led.command, led.deps)
        return Validate(instance, led.ballot, led.command, led.deps)
