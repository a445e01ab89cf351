"""The invariants of EPaxos and EPaxos*, checked against a ghost of all that was committed, executed and answered.

A commit counts when it is sent or executed: before that, it may be undone by a crash. An execution counts at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sim.invariants import DurableBeforeSend, Stored, promises
from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.command import NOOP, Command, Result
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.epaxos.messages import ACCEPTED, COMMITTED, PREACCEPTED, UNKNOWN, Instance
from sim.system import Invariant

__all__ = ["EPaxosSafety", "epaxos_promises"]

_VOUCHES = {
    "PreAcceptOk": PREACCEPTED,
    "AcceptOk": ACCEPTED,
    "PrepareOk": UNKNOWN,
    "RecoverOk": UNKNOWN,
    "ValidateOk": UNKNOWN,
}  # answer -> the least status that the disk of its sender must have
_JUDGED = frozenset({"Request", "Commit", "Reply", *_VOUCHES})
_LOOK_BACK = 16  # number of last commits on a key with which a new one is compared

Identity = tuple[int, int]
Place = str | int
"""A key, `_WIDE` or `_ALL`."""
_WIDE: Place = 0  # commands that touch all keys
_ALL: Place = 1  # all commands that touch any key


def epaxos_promises() -> DurableBeforeSend:
    """A crash of the sender cannot undo what a message says about an instance."""

    def recorded(stored: Stored, message: Any, dst: str) -> bool:
        record = stored("instances").get(message.instance)
        least = _VOUCHES.get(type(message).__name__, COMMITTED)
        ballot = getattr(message, "ballot", ZERO)
        if record is None or record.promised < ballot:
            return False
        outvoted = least < COMMITTED and record.accepted > ballot  # in a higher ballot it may begin again
        return bool(record.status >= least or outvoted)

    names = {"Commit", *_VOUCHES}
    return promises(
        lambda kind: kind.__name__ in names and hasattr(kind, "instance"), keeps="instances", shown=recorded
    )


@dataclass
class _Replica:
    """The ghost's record of the current incarnation of one replica."""

    host: Any
    incarnation: int = -1
    seen: int = 0  # executed instances that have been checked
    numbers: int = 0  # own instances that have been checked
    done: dict[Instance, None] = field(default_factory=dict)
    had: dict[Identity, None] = field(default_factory=dict)  # commands in `done`
    writes: dict[Place, int] = field(default_factory=dict)  # how many writes are done there
    passed: dict[Place, int] = field(default_factory=dict)  # how much of its timeline is done, at least


class _Reach:
    """The committed instances on which one depends, directly or not: a breadth-first search, one instance a step."""

    __slots__ = ("_chosen", "_todo", "seen")

    def __init__(self, chosen: dict[Instance, tuple[tuple[Any, ...], str]], start: Instance) -> None:
        self._chosen = chosen
        self._todo = deque([start])
        self.seen = {start}

    def go_on(self) -> bool:
        """Follow the dependencies of one more instance; False: there is none."""
        if not self._todo:
            return False
        for dep in self._chosen[self._todo.popleft()][0][2]:
            if dep not in self.seen and dep in self._chosen:
                self.seen.add(dep)
                self._todo.append(dep)
        return True


@dataclass
class EPaxosSafety(Invariant):
    """One outcome per instance, one order of what interferes, true answers; ballots only grow; votes are on disk.

    Parameters
    ----------
    application:
        The replicated application; it determines which commands interfere.
    sequenced:
        True for EPaxos: dependencies on executed commands are cut, so of two interfering commands, one is only
        reachable from the other; a command proposed after another is *committed* is executed after it. False for
        EPaxos*: one is among the other's dependencies; a command proposed after another is *executed* is executed
        after it.
    """

    application: Application = field(kw_only=True)
    sequenced: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        self.model = (
            self.application.fresh()
        )  # after the commands in the order in which they were first executed
        self.replicas: dict[str, _Replica] = {}
        self.requested: dict[Identity, Any] = {}
        self.chosen: dict[Instance, tuple[tuple[Any, ...], str]] = {}  # -> outcome, first sender of it
        self.committed: dict[Place, list[Instance]] = {}  # in the order of their commits
        self.timeline: dict[Place, list[Instance]] = {}  # those that later proposals must follow
        self.after: dict[Instance, dict[Place, int]] = {}  # lengths of the timelines when it was proposed
        self.begun: dict[Instance, None] = {}  # executed by some replica
        self.writes: dict[Place, list[Identity]] = {}  # in the order of execution
        self.before: dict[Identity, dict[Place, int]] = {}  # how many writes stand before it
        self.results: dict[Identity, Result] = {}
        self.promised: dict[tuple[str, Instance], Ballot] = {}
        self.accepted: dict[tuple[str, Instance], Ballot] = {}

    # Messages

    def is_told_of(self, kind: type) -> bool:
        return kind.__name__ in _JUDGED

    def on_send(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__.__name__
        if src in self.replicas and (node := self.replicas[src].host.node) is not None:
            self.on_step(node)  # on an instant disk messages leave before their handler ends
        if kind == "Request":
            self.requested[message.command.session, message.command.sequence] = message.command
        elif kind == "Commit":
            outcome = (message.command, getattr(message, "seq", None), message.deps)
            self.choose(src, message.instance, outcome)
        elif kind in _VOUCHES:
            self.check_vouch(src, message, _VOUCHES[kind])
        elif kind == "Reply" and src in self.replicas:
            self.check_reply(src, message)

    def check_vouch(self, src: str, msg: Any, least: int) -> None:
        """The ballots that a replica answers, and in which it has accepted, only grow, also over restarts."""
        key = (src, msg.instance)
        ballot = getattr(msg, "ballot", ZERO)
        before = self.promised.get(key, ZERO)
        if ballot < before:
            self.violated(
                (src,), f"it answered ballot {before}", f"it sends {msg!r}", invariant="ballots only grow"
            )
        self.promised[key] = ballot
        record = getattr(msg, "record", None)
        if record is None:
            if least == ACCEPTED:
                self.accepted[key] = ballot
            node = self.replicas[src].host.node if src in self.replicas else None
            record = node.instances.get(msg.instance) if node is not None else None
        last = self.accepted.get(key, ZERO)
        if record is not None and not last <= record.accepted <= record.promised:
            self.violated(
                (src,),
                f"it has answered {ballot} of {msg.instance} and accepted {last}",
                f"it holds {record!r}",
                invariant="accepted <= promised, both growing",
            )

    def check_reply(self, src: str, msg: Any) -> None:
        """Exactly once: an answer is the result of the command where it was first executed."""
        identity = (msg.session, msg.sequence)
        truth = self.results.get(identity)
        if truth is None or (truth.status, truth.value, truth.result) != (msg.status, msg.value, msg.result):
            self.violated(
                (src,), f"{identity} came to {truth!r}", f"it answers {msg!r}", invariant="exactly once"
            )

    # Commits

    def choose(self, src: str, instance: Instance, outcome: tuple[Any, ...]) -> None:
        """Committed (command, seq, deps) are unique, sent by a client, and visible to interfering commands."""
        known, first = self.chosen.setdefault(instance, (outcome, src))
        if known is not outcome:
            if known != outcome:
                facts = (f"{first} committed {known!r} in {instance}", f"{src} has {outcome!r}")
                self.violated((first, src), *facts, invariant="one outcome per instance")
            return
        command = outcome[0]
        if command == NOOP:
            return
        asked = self.requested.get((command.session, command.sequence))
        if asked != command:
            self.violated(
                (src,), f"a client asked for {asked!r}", f"{src} commits {command!r}", invariant="validity"
            )
        reached = _Reach(self.chosen, instance)
        for place in self.places(command):
            for other in islice(reversed(self.committed.get(place, [])), _LOOK_BACK):
                self.check_visible(src, instance, other, reached)
        self.note(self.committed, instance, command)
        if self.sequenced:
            self.note(self.timeline, instance, command)

    def places(self, command: Command) -> tuple[Place, ...]:
        """The indices of the commands with which a command may interfere."""
        touched = self.application.touched(command)
        return (_ALL,) if touched is None else (*touched, _WIDE)

    def note(self, where: dict[Place, list[Instance]], instance: Instance, command: Command) -> None:
        """Index an instance so that commands which may interfere with it find it."""
        touched = self.application.touched(command)
        for place in (_WIDE, _ALL) if touched is None else (*touched, _ALL):
            where.setdefault(place, []).append(instance)

    def interfere(self, one: Instance, other: Instance) -> bool:
        """Whether two committed instances that touch a common key interfere."""
        return not all(self.chosen[i][0][0].kind in self.application.reads for i in (one, other))

    def check_visible(self, src: str, instance: Instance, other: Instance, reached: _Reach) -> None:
        """Of two interfering instances, one depends on the other; ``reached``: what the first depends on."""
        if (
            not self.interfere(instance, other)
            or other in self.deps(instance)
            or instance in self.deps(other)
        ):
            return
        if self.sequenced:
            back, more = _Reach(self.chosen, other), True
            while more:  # in turns: one of them ends soon
                if other in reached.seen or instance in back.seen:
                    return
                more = reached.go_on() | back.go_on()
        facts = [f"{i} is {self.chosen[i][0]!r}" for i in (instance, other)]
        self.violated(
            (src, self.chosen[other][1]), *facts, invariant="of two that interfere one knows the other"
        )

    def deps(self, instance: Instance) -> Any:
        """The dependencies of a committed instance."""
        return self.chosen[instance][0][2]

    # Execution

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "executed"):
            return
        replica: Any = node
        known = self.replicas.get(node.name)
        if known is None or known.incarnation != node.incarnation:
            known = self.replicas[node.name] = _Replica(node.host, node.incarnation)
            known.numbers = replica.next_number - 1
        for number in range(known.numbers + 1, replica.next_number):
            command = replica.record_of((replica.row, number)).command
            if command is not None:
                self.after[replica.row, number] = {
                    place: len(self.timeline.get(place, ())) for place in self.places(command)
                }
        known.numbers = replica.next_number - 1
        fresh = len(replica.executed) - known.seen
        if fresh:
            newest = list(islice(reversed(replica.executed), fresh))
            known.seen += fresh
            for instance in reversed(newest):
                self.check_execution(known, replica, instance)

    def check_execution(self, known: _Replica, replica: Any, instance: Instance) -> None:
        """An executed instance and its dependencies are committed, and it follows the commands that must precede it."""
        record = replica.record_of(instance)
        self.check_closure(replica, instance, record)
        self.choose(replica.name, instance, (record.command, getattr(record, "seq", None), record.deps))
        known.done[instance] = None
        if record.command == NOOP:
            return
        self.check_real_time(known, replica.name, instance, record.command)
        self.check_order(known, replica.name, record.command)
        if not self.sequenced and instance not in self.begun:
            self.begun[instance] = None
            self.note(self.timeline, instance, record.command)

    def check_closure(self, replica: Any, instance: Instance, record: Any) -> None:
        """A replica holds the instance that it executes, and all its dependencies, as committed."""
        needed = [instance, *getattr(record.deps, "others", record.deps)]
        prefix = getattr(record.deps, "prefix", ())
        needed += [(r, k) for r, last in enumerate(prefix) for k in range(replica.prefix[r] + 1, last + 1)]
        for one in needed:
            if replica.record_of(one).status != COMMITTED:
                facts = (f"it executed {instance}", f"of {one} it holds {replica.record_of(one)!r}")
                self.violated(
                    (replica.name,), *facts, invariant="executed means committed, with all it depends on"
                )

    def check_real_time(self, known: _Replica, name: str, instance: Instance, command: Command) -> None:
        """An interfering command that was committed (EPaxos*: executed) before a proposal is executed before it."""
        for place in self.places(command):
            timeline = self.timeline.get(place, [])
            passed = known.passed.get(place, 0)
            while passed < len(timeline) and timeline[passed] in known.done:
                passed += 1
            known.passed[place] = passed
            for earlier in timeline[passed : self.after.get(instance, {}).get(place, 0)]:
                if earlier not in known.done and self.interfere(instance, earlier):
                    what = "committed" if self.sequenced else "executed"
                    facts = (
                        f"{earlier} was {what} before {instance} was proposed",
                        f"{name} executes it later",
                    )
                    self.violated((name,), *facts, invariant="what comes later is executed later")

    def check_order(self, known: _Replica, name: str, command: Command) -> None:
        """Interfering commands are executed in one order everywhere; the first execution determines the results.

        So all interfering commands that precede a command have been executed by some replica before.
        """
        identity = (command.session, command.sequence)
        if identity in known.had:
            return
        known.had[identity] = None
        touched = self.application.touched(command)
        is_read = command.kind in self.application.reads
        places = tuple(known.writes) if touched is None else (*touched, _WIDE)
        before = {place: known.writes[place] for place in places if place in known.writes}
        if not is_read:
            for place in (_WIDE,) if touched is None else touched:
                known.writes[place] = number = known.writes.get(place, 0) + 1
                order = self.writes.setdefault(place, [])
                if number > len(order):
                    order.append(identity)
                elif order[number - 1] != identity:
                    facts = (
                        f"write {number} of {place!r} was {order[number - 1]}",
                        f"here it is {identity}",
                    )
                    self.violated((name,), *facts, invariant="interfering commands in one order")
        first = self.before.setdefault(identity, before)
        if first != before:
            facts = (f"{identity} came after so many writes: {first}", f"here it comes after {before}")
            self.violated((name,), *facts, invariant="interfering commands in one order")
        if identity not in self.results:
            self.results[identity] = self.model.apply(command)
