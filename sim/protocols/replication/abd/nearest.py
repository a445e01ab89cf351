"""Reads by version numbers: the value comes from one server, the nearest, and only timestamps from the others.

Gifford, "Weighted Voting for Replicated Data" (SOSP 1979): a read collects the version numbers of a read quorum, and
reads from any *representative* (server) that is current. A representative without votes is *weak*: a copy near its
clients, which no quorum counts, so that it may be away or out of date. Its value is returned only when the version
numbers of a read quorum say that it is current.

A client asks the nearest server for its value, and at the same time a read quorum for timestamps. If the nearest
server does not hold the newest timestamp of the quorum, then the client asks the nearest one that does, and sends the
value on. A write asks for timestamps only. It stores its value also at the server nearest to its client, and does not
wait for a weak one. Servers without votes get no other message.

An operation that is tried again goes on as in ABD; a nearest server that did not answer is avoided for a time.

Departures: timestamps of ABD instead of transactions with locks, so reads write back where ABD's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from sim.protocols.client import Pending
from sim.protocols.command import Command
from sim.protocols.replication.abd.client import AbdClient, AbdRound, OnePhaseClient
from sim.protocols.replication.abd.messages import (
    Query,
    QueryReply,
    Store,
    VersionInquiry,
    VersionReply,
)

__all__ = ["NearestValueClient", "OnePhaseNearestValueClient"]


class NearestValueClient(AbdClient):
    """A client that asks the nearest server for its value, and the others for timestamps."""

    def nearest(self) -> str | None:
        """The nearest server of those that have answered lately; None: all have failed to."""
        now = self.monotonic
        return next((name for name in self.settings.contacts if self._avoided.get(name, -inf) <= now), None)

    def begin(self, command: Command) -> AbdRound:
        current = super().begin(command)
        current.nearest = self.nearest()
        if current.stored is not None:
            current.asked = self.and_nearest(current.asked, current)
        return current

    def stores_at(self, current: AbdRound) -> Sequence[str]:
        """A quorum; and for a new value the nearest server, which is told at once of a value that was read."""
        asked = super().stores_at(current)
        return asked if current.copy is not None else self.and_nearest(asked, current)

    def and_nearest(self, asked: Sequence[str], current: AbdRound) -> Sequence[str]:
        """The servers to ask, and the nearest one."""
        nearest = current.nearest
        return asked if nearest is None or nearest in asked else [*asked, nearest]

    def attempt(self, pending: Pending) -> None:
        current = self.rounds.get(pending.command.session)
        if current is not None and pending.outcome.attempts and current.stored is None:
            if current.nearest is not None:
                current.replies.clear()  # most have no value
            current.nearest = None
        super().attempt(pending)

    def on_attempt_timeout(self, session: int) -> None:
        current = self.rounds.get(session)
        is_read = session in self.pending and self.pending[session].command.kind == "get"
        if current is not None and current.nearest is not None and is_read and current.copy is None:
            self.suspect(current.nearest)
        super().on_attempt_timeout(session)

    def ask(self, command: Command, current: AbdRound) -> None:
        if current.stored is not None or current.nearest is None:
            super().ask(command, current)
            return
        at = current.nearest if command.kind == "get" else None
        inquiry = VersionInquiry(command.session, command.sequence, command.key)
        self.broadcast(inquiry, to=[server for server in current.asked if server != at])
        if at is not None:
            self.send(at, Query(command.session, command.sequence, command.key))

    def on_version_reply(self, src: str, msg: VersionReply) -> None:
        found = self.phase_of(msg)
        if found is None or found[1].stored is not None or found[1].nearest is None:
            return
        pending, current = found
        current.replies[src] = msg
        self.consider(src, pending.command, current)

    def on_query_reply(self, src: str, msg: QueryReply) -> None:
        found = self.phase_of(msg)
        if found is None or found[1].stored is not None:
            return
        pending, current = found
        if current.nearest is None:
            super().on_query_reply(src, msg)
            return
        if src in self.servers:
            current.replies[src] = msg
        if src == current.source:
            self.refresh(current.nearest, pending.command, msg)
            current.value = msg
            self.second_phase(src, pending.command, current)
        elif src == current.nearest:
            current.copy = msg
            self.consider(src, pending.command, current)

    def consider(self, src: str, command: Command, current: AbdRound) -> None:
        """With the timestamps of a quorum: go on if the nearest server is current, else ask one that is."""
        if current.source is not None or not self.is_read_quorum(current.replies):
            return
        if command.kind != "get":
            self.second_phase(src, command, current)
        elif current.copy is not None:
            newest = self.newest(current).timestamp
            if current.copy.timestamp == newest:
                assert current.nearest is not None
                current.value = current.copy
                self.second_phase(current.nearest, command, current)
            else:
                holders = [server for server, reply in current.replies.items() if reply.timestamp == newest]
                current.source = min(holders, key=self.settings.contacts.index)
                self.send(current.source, Query(command.session, command.sequence, command.key))

    def newest(self, current: AbdRound) -> VersionReply:
        return current.value or super().newest(current)

    def refresh(self, nearest: str, command: Command, held: QueryReply) -> None:
        """Send the nearest server the value that it does not have yet; nothing waits for it."""
        store = Store(command.session, command.sequence, command.key, held.timestamp, held.value, held.size)
        self.send(nearest, store)


class OnePhaseNearestValueClient(NearestValueClient, OnePhaseClient):
    """A client whose writes need no query, and whose reads write nothing back to a quorum."""
