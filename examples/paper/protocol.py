"""Eager replication: a replica answers at once, and copies to the others later. Put your protocol in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim import Member, Node, System
from sim.node import message
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions


@message
class Copy:
    """A command that another replica has carried out."""

    command: Any


class EagerNode(Node):
    """A replica; what it holds is lost in a crash."""

    def on_start(self) -> None:
        self.store = Sessions(KeyValueStore())

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        result = self.store.apply(command)
        if result is None:
            return  # an outdated duplicate: its client has had the answer and gone on
        if command.kind != "get":
            self.broadcast(Copy(command))
        self.send(src, Reply(command.session, command.sequence, result.status, result.value, result.result))

    def on_copy(self, src: str, msg: Copy) -> None:
        self.store.apply(msg.command)


class NearReplica(Client):
    """Asks the nearest replica that answers."""

    def target(self, command: Command, attempt: int) -> str:
        """The replica to ask."""
        return self.contact()


@dataclass(frozen=True, kw_only=True)
class Eager(System):
    """Replicas that answer at once; no consistency is claimed."""

    nodes: int = 3
    client_class = NearReplica

    def members(self) -> tuple[Member, ...]:
        """The replicas."""
        return tuple(Member(f"n{i}", EagerNode) for i in range(self.nodes))
