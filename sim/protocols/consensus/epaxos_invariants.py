"""What must always hold in Egalitarian Paxos, against a ghost of all that was committed and executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.node import Node
from sim.protocols.client import Reply
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.epaxos_messages import (
    ACCEPTED,
    COMMITTED,
    PREACCEPTED,
    AcceptOk,
    Commit,
    Instance,
    PreAcceptOk,
    PrepareOk,
)
from sim.protocols.kv import READS
from sim.system import Invariant

__all__ = ["EPaxosSafety"]


@dataclass
class EPaxosSafety(Invariant):
    """One outcome per instance, one order per key; ballots only grow; who vouches has it on disk."""

    def __post_init__(self) -> None:
        self.hosts: dict[str, Any] = {}
        self.chosen: dict[
            Instance, tuple[tuple[Any, ...], str]
        ] = {}  # instance -> outcome, who said so first
        self.writes: dict[str, list[tuple[int, int]]] = {}  # key -> writes in the order of execution
        self.reads: dict[tuple[str, tuple[int, int]], int] = {}  # read -> how many writes stand before it
        self.progress: dict[str, tuple[int, int]] = {}  # replica -> its life, how much it has executed
        self.done: dict[tuple[str, str], int] = {}  # replica and key -> how many writes it has executed
        self.had: dict[tuple[str, tuple[int, int]], None] = {}  # replica and command: executed in this life
        self.promised: dict[tuple[str, Instance], Ballot] = {}
        self.replies: dict[tuple[int, int], tuple[Any, ...]] = {}

    def broken(self, law: str, nodes: tuple[str, ...], *facts: str) -> None:
        """Report a violation of one of the laws."""
        self.law = law  # type: ignore[misc]
        self.violated(nodes, *facts)

    # One outcome per instance, durable promises

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, Commit):
            self.check_commit(src, message)
        elif isinstance(message, PreAcceptOk | AcceptOk | PrepareOk):
            self.check_vouch(src, message)
        elif isinstance(message, Reply):
            self.check_reply(src, message)

    def check_commit(self, src: str, msg: Commit) -> None:
        """Committed (command, seq, deps) are unique."""
        outcome = (msg.command, msg.seq, msg.deps)
        known, first = self.chosen.setdefault(msg.instance, (outcome, src))
        if known != outcome:
            self.broken(
                "one outcome per instance",
                (first, src),
                f"{first} committed {known!r} in {msg.instance}",
                f"{src} commits {outcome!r}",
            )

    def check_vouch(self, src: str, msg: Any) -> None:
        """Ballots that were answered only grow, restarts included, and the answer is on disk."""
        key = (src, msg.instance)
        before = self.promised.get(key)
        if before is not None and msg.ballot < before:
            self.broken(
                "ballots only grow",
                (src,),
                f"it answered ballot {before} of {msg.instance}",
                f"it sends {msg!r}",
            )
        self.promised[key] = msg.ballot
        host = self.hosts.get(src)
        if host is None:
            return
        record = host.disk.durable("instances", {}).get(msg.instance)
        least = {PreAcceptOk: PREACCEPTED, AcceptOk: ACCEPTED, PrepareOk: 0}[type(msg)]
        if record is None or record.promised < msg.ballot or record.status < least:
            self.broken("durable before send", (src,), f"it sends {msg!r}", f"its disk has {record!r}")

    def check_reply(self, src: str, msg: Reply) -> None:
        """Exactly once: every answer to one request is the same."""
        answer = (msg.status, msg.value, msg.result)
        known = self.replies.setdefault((msg.session, msg.sequence), answer)
        if known != answer:
            self.broken(
                "exactly once",
                (src,),
                f"request {msg.sequence} of session {msg.session} was answered {known!r}",
                f"{src} answers {answer!r}",
            )

    # One order per key

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "interference"):
            return
        replica: Any = node
        self.hosts[node.name] = node.host
        life, count = self.progress.get(node.name, (-1, 0))
        if life != replica.incarnation:
            count = 0
            self.done = {key: n for key, n in self.done.items() if key[0] != node.name}
            self.had = {key: None for key in self.had if key[0] != node.name}
        if len(replica.executed) > count:
            for instance in list(replica.executed)[count:]:
                self.check_execution(replica, instance)
        self.progress[node.name] = (replica.incarnation, len(replica.executed))

    def check_execution(self, replica: Any, instance: Instance) -> None:
        """Interfering commands are executed in the same order everywhere, after their dependencies are committed."""
        record = replica.instances[instance]
        if record.status != COMMITTED:
            self.broken(
                "executed means committed", (replica.name,), f"it executed {instance}", f"it holds {record!r}"
            )
        command = record.command
        identity = (command.session, command.sequence)
        if command.session < 0 or (replica.name, identity) in self.had:
            return
        self.had[replica.name, identity] = None
        place = (replica.name, command.key)
        before = self.done.get(place, 0)
        if command.kind in READS:
            self.check_read(replica.name, command.key, identity, before)
            return
        self.done[place] = before + 1
        order = self.writes.setdefault(command.key, [])
        if before == len(order):
            order.append(identity)
        elif order[before] != identity:
            self.broken(
                "interfering commands in one order",
                (replica.name,),
                f"write {before + 1} of {command.key} was {order[before]}",
                f"{replica.name} executes {identity} there",
            )

    def check_read(self, name: str, key: str, identity: tuple[int, int], before: int) -> None:
        """A read stands between the same writes everywhere."""
        known = self.reads.setdefault((key, identity), before)
        if known != before:
            self.broken(
                "interfering commands in one order",
                (name,),
                f"read {identity} of {key} was executed after {known} writes",
                f"{name} executes it after {before}",
            )
