"""The invariants of Dynamo, checked after every event.

Ghosts: every version ever made, each node's acknowledgements, and the operations that have returned at clients.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.node import Node
from sim.protocols.kv import READS
from sim.protocols.replication.dynamo.messages import (
    Answer,
    Confirmed,
    Handoff,
    HandoffAck,
    Put,
    PutAck,
    Repair,
    RepairAck,
    Update,
)
from sim.protocols.replication.dynamo.versions import covers, digest_of_version, merged
from sim.system import Invariant

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.system import Dynamo

__all__ = ["DynamoSafety"]

_ROUNDING = (
    1e-6  # seconds: a node measures the age of a hint by its monotonic clock, the ghost by its wall clock
)


@dataclass(kw_only=True)
class DynamoSafety(Invariant):
    """Quorums consist of durable homes, versions only grow, reads see completed writes, deleted keys stay deleted."""

    system: Dynamo
    hosts: dict[str, Any] = field(default_factory=dict)
    names: dict[tuple[str, Any], Any] = field(default_factory=dict)
    """(key, write) -> its value: a write identifies one value."""
    updates: dict[tuple[int, int], tuple[str, Any]] = field(default_factory=dict)
    """(session, sequence) -> the key, and the version made by the client."""
    puts: dict[tuple[str, tuple[int, int]], tuple[str, Any]] = field(default_factory=dict)
    """(coordinator, ticket) -> (key, version) of a put."""
    repairs: dict[tuple[str, tuple[int, int]], tuple[str, Any]] = field(default_factory=dict)
    """(coordinator, ticket) -> (key, version) of a read repair."""
    hinted: dict[tuple[str, str, str, int], float] = field(default_factory=dict)
    """(keeper, home, key, digest of the version) -> first arrival of the hint, on the keeper's clock (s)."""
    handed: dict[tuple[str, str, tuple[int, int]], Handoff] = field(default_factory=dict)
    answers: dict[tuple[int, int], Any] = field(default_factory=dict)
    """(session, sequence) -> the version in the first answer that the client received."""
    acked: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)
    """key -> (time, merge of all versions whose writes had returned by then), ordered by time."""
    acked_at: dict[tuple[str, Any], float] = field(default_factory=dict)
    read: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)
    """key -> (time, merge of all versions that reads had returned by then), ordered by time."""
    purged: dict[str, Any] = field(default_factory=dict)
    """key -> merge of the tombstones that some home has dropped; reads need not see versions that these replaced."""
    deletes: dict[str, list[tuple[float, float, Any]]] = field(default_factory=dict)
    """key -> (called, returned, version) of the deletions."""

    # Stored versions

    def on_step(self, node: Node) -> None:
        self.hosts[node.name] = node.host
        changes = getattr(node, "changes", ())
        if changes is None:
            node.changes = []  # type: ignore[attr-defined]
            return
        for key, before, after in changes:
            if after is None and not before.is_tombstone:
                self.violated(
                    node.name, f"it dropped {before!r} of {key}", invariant="only tombstones are dropped"
                )
            if after is None:
                self.purged[key] = merged(self.purged.get(key), before)
            if after is not None and not covers(after, before):
                self.violated(
                    node.name,
                    f"it held {before!r} of {key}",
                    f"it holds {after!r}",
                    invariant="a stored version only grows",
                )
        if changes:
            changes.clear()

    def holds(self, node: str, key: str, version: Any, home: str | None = None) -> bool:
        """Whether a version would survive a crash of the node now: stored, or as a hint for ``home``."""
        disk = self.hosts[node].disk
        if home is None or home == node:
            return covers(disk.durable("store", {}).get(key), version)
        hints = disk.durable("handoff.hints", {}).get(key, ())
        return any(hint[0] == home and covers(hint[1], version) for hint in hints)

    # `promises` (sim/invariants/durable.py) does not fit: it asks whether what a step wrote is synced. An
    # acknowledgement of Dynamo is about one version, which the message does not name: the ghost finds it by the ticket.
    # A node that acknowledges without writing anything must be caught, and a version that is no longer on disk is no
    # fault where its tombstone was purged or its hint was handed over.

    def must_hold(self, node: str, key: str, version: Any) -> None:
        """Check that a version that a node acknowledges is on its disk."""
        if not self.holds(node, key, version):
            self.violated(
                node,
                f"it acknowledges {version!r} of {key}",
                f"its disk has {self.hosts[node].disk.durable('store', {}).get(key)!r}",
                invariant="durable before send",
            )

    def must_have_hint(self, node: str, home: str, key: str, version: Any) -> None:
        """Check the same for a hint, unless it was delivered or expired while the message waited for the disk."""
        since = self.hinted[node, home, key, digest_of_version(version)]
        age = self.hosts[node].clock() - since
        gone = age >= self.system.hint_expiry - _ROUNDING or self.holds(home, key, version)
        if not gone and not self.holds(node, key, version, home):
            self.violated(
                node,
                f"it acknowledges {version!r} of {key} for {home}",
                "its disk has no hint",
                invariant="durable before send",
            )

    # Messages

    def on_send(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__
        if kind is Update:
            self.updates.setdefault((message.session, message.sequence), (message.key, message.version))
        elif kind is Put or kind is Repair:
            ghost = self.puts if kind is Put else self.repairs
            ghost[src, message.ticket] = (message.key, message.version)
            self.name_one_value(src, message.key, message.version)
        elif kind is PutAck or kind is RepairAck:
            kept = (self.puts if kind is PutAck else self.repairs)[dst, message.ticket]
            if message.home == src:
                self.must_hold(src, *kept)
            else:
                self.must_have_hint(src, message.home, *kept)
        elif kind is Handoff:
            self.check_handoff(src, dst, message)
        elif kind is HandoffAck:
            for key, version, _ in self.handed[dst, src, message.number].hints:
                self.must_hold(src, key, version)
        elif kind is Confirmed:
            self.must_hold(src, message.key, message.version)
        elif kind is Answer:
            self.check_quorum(src, message)

    def name_one_value(self, src: str, key: str, version: Any) -> None:
        """Check that a write's name identifies the same value in all messages."""
        shown = version.shown if isinstance(version.shown, tuple) else (version.shown,)
        for write, value in zip(version.writes, shown, strict=False):
            known = self.names.setdefault((key, write), value)
            if known != value:
                self.violated(
                    src,
                    f"{write} of {key} wrote {known!r}",
                    f"now {value!r}",
                    invariant="a write stands for one value",
                )

    def check_handoff(self, src: str, dst: str, message: Handoff) -> None:
        """Check that hints contain written versions only, and have not expired."""
        self.handed[src, dst, message.number] = message
        now = self.hosts[src].clock()
        for key, version, since in message.hints:
            strange = [write for write in version.writes if (key, write) not in self.names]
            if strange:
                self.violated(
                    src,
                    f"it gives {version!r} of {key} back",
                    f"nobody wrote {strange}",
                    invariant="a hint is what was written",
                )
            self.name_one_value(src, key, version)
            if now - since >= self.system.hint_expiry + _ROUNDING:
                self.violated(
                    src,
                    f"it keeps {version!r} of {key} for {dst} since {since:.6f} s",
                    f"hints expire after {self.system.hint_expiry} s, and it is {now:.6f} s",
                    invariant="hints expire before tombstones",
                )

    def check_quorum(self, src: str, message: Answer) -> None:
        """Check that a quorum has an answered write on disk: homes, or (sloppy) homes and stand-ins."""
        found = self.updates.get((message.session, message.sequence))
        if found is None:
            return  # a read, or a write that its coordinator names
        key, version = found
        homes = self.system.homes(key)
        having = [home for home in homes if self.holds(home, key, version)]
        if self.system.sloppy:
            having += [
                home
                for home in homes
                if home not in having
                and any(self.holds(node, key, version, home) for node in self.system.names if node != home)
            ]
        if not self.system.is_write_quorum(homes, having):
            self.violated(
                src,
                f"it answers that {version!r} of {key} is written",
                f"it is on disk for {', '.join(having) or 'nobody'} of {', '.join(homes)}",
                invariant="W acknowledgements are of W durable homes",
            )

    # Clients

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Answer:
            self.answers.setdefault((message.session, message.sequence), message.version)
        elif message.__class__ in (Put, Repair) and message.home != dst:
            hint = (dst, message.home, message.key, digest_of_version(message.version))
            self.hinted.setdefault(hint, self.hosts[dst].clock())

    def on_acknowledged(self, client: str, operation: Any) -> None:
        number = (operation.session, operation.sequence)
        version = self.answers.pop(number, None)
        if operation.operation.kind in READS:
            if self.system.sees_completed_writes:
                self.check_read(client, operation, version)
        elif number in self.updates:
            self.note_write(operation, self.updates[number][1])

    def note_write(self, operation: Any, version: Any) -> None:
        """Note a write that has returned: later reads must see it."""
        key = operation.operation.key
        self._note(self.acked, key, operation.returned, version)
        for write in version.writes:
            self.acked_at[key, write] = operation.returned
        if version.is_tombstone:
            self.deletes.setdefault(key, []).append((operation.called, operation.returned, version))

    def check_read(self, client: str, operation: Any, version: Any) -> None:
        """A read sees the last completed write, no deleted one, and (if reads are monotone) what earlier reads saw."""
        key, called = operation.operation.key, operation.called
        self._must_know(
            "a strict read sees the last completed write", client, key, version, self.acked, called
        )
        self.must_stay_deleted(client, key, version, called)
        if self.system.reads_are_monotone:
            self._must_know("quorum reads are monotone", client, key, version, self.read, called)
            if version is not None:
                self._note(self.read, key, operation.returned, version)

    def must_stay_deleted(self, who: str, key: str, version: Any, by: float) -> None:
        """A write that had returned before a deletion was called is not visible after the deletion has returned."""
        for write in () if version is None else version.writes:
            written = self.acked_at.get((key, write))
            for began, ended, deletion in self.deletes.get(key, ()):
                if written is not None and written < began and ended < by and deletion.knows(write):
                    self.violated(
                        who,
                        f"{key} was written by {write} until {written:.6f} s and deleted until {ended:.6f} s",
                        f"at {by:.6f} s the write is to be seen",
                        invariant="deleted stays deleted",
                    )

    @staticmethod
    def _note(ghost: dict[str, list[tuple[float, Any]]], key: str, time: float, version: Any) -> None:
        so_far = ghost.setdefault(key, [])
        so_far.append((time, merged(so_far[-1][1] if so_far else None, version)))

    def _must_know(
        self,
        invariant: str,
        client: str,
        key: str,
        version: Any,
        ghost: dict[str, list[tuple[float, Any]]],
        by: float,
    ) -> None:
        so_far = ghost.get(key, ())
        at = bisect_right(so_far, by, key=lambda entry: entry[0])
        required = so_far[at - 1][1] if at else None
        if required is None:
            return
        purged = self.purged.get(key)
        for write in required.writes:  # none of a tombstone, which may have been purged
            if purged is not None and purged.knows(write):
                continue
            if version is None or not version.knows(write):
                self.violated(
                    client,
                    f"{required!r} of {key} was known by {by:.6f} s",
                    f"a read returned {version!r}",
                    invariant=invariant,
                )
