"""The common part of EPaxos and EPaxos*: requests of clients, execution of committed commands, answers.

`epaxos.node` and `epaxos_star.node` commit commands; `execution` determines the order in which they are executed.

- A command takes effect once, identified by its (session, number): if a client asks two replicas, its command is in
  two instances; commands of one session on different keys are not ordered.
- Only the leader knows of its commit on the fast path, and a recovery relies on the leader's reply that it has not
  committed. So the leader sends a Commit, and executes the command, when the commit is on its disk (`announce`). If it
  executed earlier, and lost power before the sync, the instance could become a no-op: then another order would be
  executed than that in which this replica once had. A Commit that another replica has sent is on a disk already. So
  whatever is executed is final, and an answer to a client need not wait for the disk.
- A replica that is blocked by missed commits fetches them from another replica before it suspects their leaders.
- A replica that has executed something, and then nothing for a detection timeout, tells the next replica in the ring
  how far it is; both fetch what they lack. The papers do not say how a lost Commit is learnt that is the last of a row.
- Instances are never collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from sim.node import Node, durable_map
from sim.protocols.backoff import LONGEST_WAIT, Backoff, longest_wait
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command, Result
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.commit_latency import RecordsCommits
from sim.protocols.consensus.epaxos.execution import execution_order
from sim.protocols.consensus.epaxos.messages import COMMITTED, Decided, Fetch, Instance, Nack
from sim.protocols.replica import Replica
from sim.protocols.system import ReplicatedSystem, StateMachineSystem
from sim.settings import Count
from sim.system import positions

__all__ = ["EgalitarianReplica", "EgalitarianSystem", "NearestClient"]

_AT_ONCE = 100  # commits in answer to one Fetch


class EgalitarianReplica(Replica):
    """A replica: leader of its clients' commands, acceptor of all others, executor of all."""

    reply_waits_for_disk = False  # what is executed is final
    settings: Any
    instances = durable_map()  # instance -> Record
    nothing: Any  # the record of an unknown instance

    def on_start(self) -> None:
        self.row = self.members.index(self.name)
        self.next_number = 1 + max((number for row, number in self.instances if row == self.row), default=0)
        self.highest = [0] * len(self.members)  # the highest known number in each row
        self.led: dict[Instance, Any] = {}  # instances that this replica leads: ballot, phase, replies
        self.deciding: dict[
            Instance, None
        ] = {}  # committed as their leader, not on disk yet: not to be executed
        self.asked: dict[tuple[int, int], Instance] = {}  # session, number -> where it waits
        self.paired = len(self.members) == 3 and self.settings.fast_quorum_size == 2
        self.partner = self.next_in_ring(1)[0] if self.paired else ""  # of the next command
        self.blocked: dict[Instance, list[Instance]] = {}  # not committed -> what waits for it
        self.suspected: dict[Instance, None] = {}  # a recovery is due unless it commits
        self.fetching = False
        self.executed_before = -1  # how many were executed at the last look for quiet; -1: it does not look
        self.longest_wait = LONGEST_WAIT * self.settings.detection_timeout
        self.fetches = Backoff(self.settings.heartbeat_interval, self.longest_wait)
        self.effects: dict[tuple[int, int], Result] = {}  # command -> its result
        self.executed: dict[Instance, None] = {}  # in the order of execution
        self.prefix = [0] * len(self.members)  # of each row, all instances up to this number are executed

    # Methods that a protocol defines

    def lead(self, instance: Instance, command: Command) -> None:
        """Begin to commit a client's command."""
        raise NotImplementedError

    def open_deps(self, instance: Instance) -> list[Instance] | None:
        """The unexecuted dependencies of an instance; None: it is not committed."""
        raise NotImplementedError

    def seq_of(self, instance: Instance) -> int:
        """The rank of an instance among those that depend on each other (ties: the lower instance first)."""
        raise NotImplementedError

    def promise(self, instance: Instance, ballot: Ballot) -> None:
        """Promise to take part in no lower ballot of this instance."""
        raise NotImplementedError

    def commit_of(self, instance: Instance) -> Any:
        """The Commit message of a committed instance."""
        raise NotImplementedError

    # Instances

    def record_of(self, instance: Instance) -> Any:
        """This replica's record of an instance."""
        return self.instances.get(instance, self.nothing)

    def remember(self, instance: Instance, record: Any) -> None:
        """Store the record of an instance. Numbers below a known one are in use, too."""
        self.instances[instance] = record
        row, number = instance
        if number > self.highest[row]:
            if number > self.highest[row] + 1:
                self.fetch_soon()
            self.highest[row] = number

    # Clients

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        identity = (command.session, command.sequence)
        result = self.effects.get(identity)
        if result is not None:
            self.answer(src, command, result)
        elif identity in self.asked:
            instance = self.asked[identity]
            self.waiting[instance] = (src, command)
        else:
            self.propose(src, command)

    def propose(self, client: str, command: Command) -> None:
        """Lead a command in a fresh instance."""
        instance = (self.row, self.next_number)
        self.next_number += 1
        self.waiting[instance] = (client, command)
        self.asked[command.session, command.sequence] = instance
        self.lead(instance, command)

    def finish(self, instance: Instance, command: Command, result: Result | None) -> None:
        """Answer the client that waits for an instance; if it became a no-op, propose the command again."""
        if instance not in self.waiting:
            return
        client, wanted = self.waiting.pop(instance)
        del self.asked[wanted.session, wanted.sequence]
        if wanted == command and result is not None:
            self.answer(client, command, result)
        elif (done := self.effects.get((wanted.session, wanted.sequence))) is not None:
            self.answer(client, wanted, done)
        else:
            self.propose(client, wanted)

    # Execution

    def announce(self, instance: Instance) -> None:
        """As the leader that has stored a decision: when it is on disk, all others learn it, and it is executed."""
        self.deciding[instance] = None
        self.broadcast(self.commit_of(instance))
        self.send(self.name, Decided(instance))

    def on_decided(self, src: str, msg: Decided) -> None:
        del self.deciding[msg.instance]
        self.settle(msg.instance)

    def settle(self, instance: Instance) -> None:
        """After an instance was committed for good: execute what can be executed now."""
        self.cancel_timer("recover", instance)
        self.suspected.pop(instance, None)
        self.execute(instance)
        for other in self.blocked.pop(instance, ()):
            self.execute(other)

    def execute(self, instance: Instance) -> None:
        """Execute a committed command after its dependencies; or wait for those that are not committed yet."""
        if instance in self.executed:
            return
        order = execution_order(instance, self.final_deps, self.seq_of)
        if isinstance(order, tuple):
            waiting = self.blocked.setdefault(order, [])
            if instance not in waiting:
                waiting.append(instance)
            if order not in self.deciding:
                self.suspect(order)
                self.fetch_soon()
            return
        for one in order:
            self.apply(one)

    def final_deps(self, instance: Instance) -> list[Instance] | None:
        """The unexecuted dependencies of an instance; None: it is not committed for good."""
        return None if instance in self.deciding else self.open_deps(instance)

    def apply(self, instance: Instance) -> None:
        """Execute one command; its leader answers the client."""
        command = self.record_of(instance).command
        self.executed[instance] = None
        if self.executed_before < 0:
            self.on_quiet_timeout()
        row = instance[0]
        while (row, self.prefix[row] + 1) in self.executed:
            self.prefix[row] += 1
        result = None
        if command.session >= 0:
            identity = (command.session, command.sequence)
            result = self.effects.get(identity)
            if result is None:
                result = self.effects[identity] = self.store.execute(command)
        self.finish(instance, command, result)

    # Fetching missed commits

    def fetch_soon(self) -> None:
        """Set the timer of a fetch, as a missing commit may be in flight. Each fruitless fetch doubles the wait."""
        if not self.fetching and self.peers:
            self.fetching = True
            self.set_timer("fetch", self.fetches.wait(len(self.executed)))

    def on_quiet_timeout(self) -> None:
        """Nothing was executed for a detection timeout: compare with the next replica in the ring.

        A replica that was not asked, and to which the Commit of the last command of a row was lost, cannot know of it.
        """
        if len(self.executed) > self.executed_before:
            self.executed_before = len(self.executed)
            self.set_timer("quiet", self.settings.detection_timeout)
        else:
            self.executed_before = -1
            self.broadcast(Fetch(tuple(self.prefix)), to=self.next_in_ring(1), hold=False)

    def missing(self) -> list[Instance]:
        """What others must have: instances that block execution, and unknown instances whose numbers are in use."""
        gaps = [
            (row, number)
            for row, last in enumerate(self.highest)
            for number in range(self.prefix[row] + 1, last)
            if (row, number) not in self.instances
        ]
        return [*(one for one in self.blocked if one not in self.deciding), *gaps]

    def on_fetch_timeout(self) -> None:
        self.fetching = False
        missing = self.missing()
        if missing:
            self.send(self.random.choice(self.peers), Fetch(tuple(self.prefix)), hold=False)
            for instance in missing:
                self.suspect(instance)
            self.fetch_soon()

    def on_fetch(self, src: str, msg: Fetch) -> None:
        if any(done > known for done, known in zip(msg.prefix, self.highest, strict=True)):
            self.send(src, Fetch(tuple(self.prefix)), hold=False)
        left = _AT_ONCE
        for row, done in enumerate(msg.prefix):
            for number in range(done + 1, self.highest[row] + 1):
                if self.record_of((row, number)).status == COMMITTED:
                    self.send(src, self.commit_of((row, number)))
                    left -= 1
                    if not left:
                        return

    # Leading

    def first_asked(self, enough: int) -> tuple[str, ...]:
        """The replicas that are asked at first; if thrifty, only ``enough`` of them."""
        return self.next_in_ring(enough) if self.settings.thrifty else self.peers

    def next_in_ring(self, count: int) -> tuple[str, ...]:
        """The next ``count`` replicas in the ring after this one."""
        ring = [*self.members[self.row + 1 :], *self.members[: self.row]]
        return tuple(ring[:count])

    def first_pre_asked(self, partner: str) -> tuple[str, ...]:
        """The replicas that are asked to pre-accept at first."""
        if self.paired and self.settings.thrifty:
            return (partner,)
        return self.first_asked(self.settings.fast_quorum_size - 1)

    def keep_reply(self, src: str, led: Any, reply: Any) -> None:
        """Keep a pre-accept reply; with three replicas, the first to answer is the next command's partner."""
        if self.paired and not led.replies:
            self.partner = src
        led.replies[src] = reply

    def await_answers(self, instance: Instance, led: Any, *, asked: int = 1) -> None:
        """Others were asked ``asked`` times: ask again after a heartbeat, and twice as long after each further time."""
        led.asked = asked
        wait = longest_wait(self.settings.heartbeat_interval, self.longest_wait, asked)
        self.set_timer("retry", wait, instance)

    def leading(self, instance: Instance, ballot: Ballot, phase: str) -> Any:
        """The led instance to which a reply of this ballot and phase belongs; None: there is none."""
        led = self.led.get(instance)
        return led if led is not None and led.ballot == ballot and led.phase == phase else None

    def stand_down(self, instance: Instance, ballot: Ballot) -> None:
        """Stop leading an instance that another replica leads in a higher ballot."""
        led = self.led.get(instance)
        if led is not None and led.ballot < ballot:
            del self.led[instance]
            self.cancel_timer("retry", instance)

    def refuse(self, src: str, instance: Instance, ballot: Ballot, known: Any) -> bool:
        """Answer an outdated message with the commit or the higher ballot; returns whether it was outdated."""
        if known.status == COMMITTED:
            self.send(src, self.commit_of(instance))
        elif ballot < known.promised:
            self.send(src, Nack(instance, known.promised))
        else:
            return False
        return True

    def on_nack(self, src: str, msg: Nack) -> None:
        """Another replica leads: wait, and retry with a higher ballot only if the instance is not committed."""
        known = self.record_of(msg.instance)
        if msg.promised > known.promised and known.status != COMMITTED:
            self.stand_down(msg.instance, msg.promised)
            self.promise(msg.instance, msg.promised)
            self.be_patient(msg.instance)

    # Suspicion

    def suspect(self, instance: Instance) -> None:
        """Set the timer of a recovery of this instance, unless it is set already."""
        if instance not in self.suspected:
            self.be_patient(instance)

    def be_patient(self, instance: Instance) -> None:
        """Another replica works on this instance: wait for a random time before taking it over.

        Each takeover raises the ballot, and doubles the wait for the next one. Without that, replicas that are slow
        because of a high load would interrupt each other forever, and send even more.
        """
        timeout = self.settings.detection_timeout
        takeovers = self.record_of(instance).promised.round
        shortest = longest_wait(timeout, self.longest_wait, takeovers + 1)
        self.suspected[instance] = None
        self.set_timer("recover", self.random.uniform(shortest, 2 * shortest), instance)

    def gauges(self) -> dict[str, float]:
        """The gauges that a scenario may sample."""
        return {"executed": len(self.executed), "waiting": len(self.waiting), "blocked": len(self.blocked)}


class NearestClient(Client):
    """A client that asks the nearest replica, and another one only if the nearest does not answer."""

    def learn(self, src: str, msg: Reply) -> None:
        """Do nothing: there is no leader."""


@dataclass(frozen=True, kw_only=True)
class EgalitarianSystem(ReplicatedSystem, StateMachineSystem, RecordsCommits):
    """The common settings and claims of EPaxos and EPaxos*."""

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (5, 3), "thrifty": (False, True)}
    )

    nodes: Count = 5
    thrifty: bool = False

    consistency = "linearizable"
    outlives_minority: ClassVar[bool] = True

    @property
    def client_class(self) -> type[Node]:
        return NearestClient

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How far each replica has executed every row."""
        return positions(nodes, EgalitarianReplica, "prefix")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes no live replica has executed or holds as accepted or committed."""
        replicas = [node for node in nodes.values() if isinstance(node, EgalitarianReplica)]
        if not replicas:
            return None
        held = {
            (r.command.session, r.command.sequence)
            for node in replicas
            for r in node.instances.values()
            if r.command is not None
        }
        return sum(1 for identity in acknowledged if identity not in held)
