"""Systems with one mistake each, for the tests of the fuzzer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.message import message
from sim.node import Node
from sim.protocols import BasicRaft, PrimaryBackup
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.raft.node import RaftNode, RequestVote
from sim.protocols.kv import KeyValueStore
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.protocols.sessions import Sessions
from sim.system import Member, System


class ForgetsItsVote(RaftNode):
    """Grants a vote in a term in which it has voted for another server."""

    def on_request_vote(self, src: str, msg: RequestVote) -> None:
        if msg.term == self.current_term:
            self.voted_for = None
        super().on_request_vote(src, msg)


class AcknowledgesAlone(PrimaryBackupNode):
    """A sync primary answers before its backups have acknowledged."""

    def replicated(self) -> int:
        return self.match[self.name]


@dataclass(frozen=True, kw_only=True)
class TwoVotesRaft(BasicRaft):
    """Raft whose servers vote twice in a term."""

    @property
    def replica_class(self) -> type[Node]:
        return ForgetsItsVote


@dataclass(frozen=True, kw_only=True)
class HastyBackup(PrimaryBackup):
    """Primary-backup whose sync primary waits for no backup."""

    def members(self) -> tuple[Member, ...]:
        return tuple(_mutated(member) for member in super().members())


def _mutated(member: Member) -> Member:
    import dataclasses

    if not issubclass(member.node_class, PrimaryBackupNode):
        return member
    kind: Any = (
        type("Hasty", (AcknowledgesAlone, member.node_class), {})
        if member.node_class is not PrimaryBackupNode
        else AcknowledgesAlone
    )
    return dataclasses.replace(member, node_class=kind)


@message
class EagerCopy:
    command: Command


class EagerNode(Node):
    """Answers at once, and copies to the others later."""

    def on_start(self) -> None:
        self.store = Sessions(KeyValueStore())

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        result = self.store.apply(command)
        if result is None:
            return
        if command.kind != "get":
            self.broadcast(EagerCopy(command))
        self.send(src, Reply(command.session, command.sequence, result.status, result.value, result.result))

    def on_eager_copy(self, src: str, msg: EagerCopy) -> None:
        self.store.apply(msg.command)


class AnyReplica(Client):
    """Asks a replica drawn at random."""

    def target(self, command: Command, attempt: int) -> str:
        return self.random.choice(self.settings.contacts)


@dataclass(frozen=True, kw_only=True)
class Eager(System):
    """A store in forty lines that claims too much."""

    nodes: int = 3

    @property
    def consistency(self) -> str:
        return "linearizable"

    @property
    def client_class(self) -> type[Node]:
        return AnyReplica

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(f"n{i}", EagerNode) for i in range(self.nodes))
