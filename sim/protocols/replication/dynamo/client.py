"""Clients of Dynamo: they choose a coordinator, make the versions of their writes, and store the contexts of reads."""

from __future__ import annotations

from typing import Any

from sim.protocols.causality.dots import Context
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command
from sim.protocols.kv import READS
from sim.protocols.replication.dynamo.messages import Answer, Unavailable, Update
from sim.protocols.replication.dynamo.versions import Siblings, Stamped, StoredVersion, write_siblings

__all__ = ["DynamoClient"]


class DynamoClient(Client):
    """A client whose coordinator is the nearest node, or the key's first home that is not suspected.

    A retried write keeps its first version, so that it takes effect once. With siblings, the client sends the context
    of a session's reads and writes of a key with the session's next write to it.
    """

    def on_start(self) -> None:
        self.versions: dict[int, StoredVersion] = {}  # session -> the version of its last write
        self.contexts: dict[tuple[int, str], Context] = {}
        self.refusals: dict[
            int, int
        ] = {}  # session -> coordinators that had too few answers for its operation
        super().on_start()

    def target(self, command: Command, attempt: int) -> str:
        system = self.settings.system
        contacts = system.homes(command.key) if system.coordinator == "home" else self.settings.contacts
        if attempt == 1:
            self.refusals[command.session] = 0
        skipped = self.refusals[command.session] % len(contacts)
        return self.contact((*contacts[skipped:], *contacts[:skipped]))

    def learn(self, src: str, msg: Reply) -> None:
        """Do nothing: there is no leader."""

    def request(self, command: Command) -> Any:
        system = self.settings.system
        if command.kind in READS or system.stamps == "coordinator":
            return Request(command)
        if self.pending[command.session].outcome.attempts == 1:
            self.versions[command.session] = self.version_of(command)
        return Update(command.session, command.sequence, command.key, self.versions[command.session])

    def version_of(self, command: Command) -> StoredVersion:
        """The version of a new write. Its timestamp is the time of the call, on the client's clock."""
        session, key, deletes = command.session, command.key, command.kind == "delete"
        if self.settings.system.versions == "lww":
            called = self.pending[session].outcome.called
            return Stamped((called, session, command.sequence), command.value, deletes, command.size)
        seen = self.contexts.get((session, key))
        return write_siblings(session, seen, command.value, command.size, deletes=deletes)

    def on_unavailable(self, src: str, msg: Unavailable) -> None:
        """Try the next coordinator for this operation only: another key may have other homes."""
        pending = self.pending.get(msg.session)
        if pending is not None and pending.command.sequence == msg.sequence and src == pending.target:
            self.refusals[msg.session] += 1
            self.back_off(pending)

    def on_answer(self, src: str, msg: Answer) -> None:
        pending = self.pending.get(msg.session)
        if pending is None or pending.command.sequence != msg.sequence:
            return
        command = pending.command
        version = msg.version if command.kind in READS else self.versions.get(msg.session)
        if isinstance(version, Siblings):
            known = self.contexts.get((msg.session, command.key))
            self.contexts[msg.session, command.key] = version.context.union(known or Context())
        value = msg.value if command.kind in READS else command.value
        self.on_reply(src, Reply(msg.session, msg.sequence, msg.status, value, msg.result))
