"""The ghost record that all invariants of Raft share: everything ever logged, committed and sent, also before crashes.

It computes the changes of each event once; the cost of each invariant is proportional to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.consensus.raft.extensions.damage import LOG_FIELDS
from sim.protocols.consensus.raft.node import AppendEntriesReply, Entry, RaftNode
from sim.protocols.kv import KeyValueStore
from sim.system import Invariant, Member

__all__ = ["RaftHistory", "RaftInvariant", "ServerRecord"]

_LOG_FIELDS = frozenset(LOG_FIELDS)
_CHANGES = ("removed", "added", "elected", "newly_committed", "newly_applied")


@dataclass
class ServerRecord:
    """The record of one server."""

    node: RaftNode
    disk: Any
    log: list[Entry] = field(default_factory=list)
    first: int = 1  # the index of log[0]; more than 1 if a snapshot replaced the first entries
    leading: int = 0  # the term in which it led after its last step; 0: it did not lead
    commit_index: int = 0
    last_applied: int = 0
    externalised: int = 0  # the highest term that it has sent
    damages: int = 0  # how often it booted with a damaged log
    # Term -> the last index that it acknowledged, since the last damage and before:
    acknowledged: dict[int, int] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)
    # Of its last acknowledgement before the damage: term, index, and the entry's term (None: it was in a snapshot):
    missing: tuple[int, int, int | None] | None = None

    def entry(self, index: int) -> Entry | None:
        """The entry at ``index`` of the log as it was after the last step."""
        at = index - self.first
        return self.log[at] if 0 <= at < len(self.log) else None


@dataclass
class RaftHistory(Invariant):
    """The ghost record. After each step it finds the changes first, and then has the other invariants check them.

    Attributes
    ----------
    servers: the record of each server, by name.
    removed, added: ``(index, entry)`` that the last step removed from and added to the log of its node.
    elected: whether the last step made its node leader.
    newly_committed, newly_applied: ranges of indices of the last step's node.
    committed: the committed entries, from index 1 on, with the term in which each was first known committed.
    leader_of: term -> the leader's name.
    damage: whether disks may be damaged, so that it notes what each server acknowledges.
    application: the replicated application, in its initial state.
    """

    title: ClassVar[str] = "history"
    steps_of: ClassVar[tuple[type, ...]] = (RaftNode,)
    servers: dict[str, ServerRecord] = field(default_factory=dict)
    removed: list[tuple[int, Entry]] = field(default_factory=list)
    added: list[tuple[int, Entry]] = field(default_factory=list)
    elected: bool = False
    was_leading: int = 0
    newly_committed: range = range(0)
    newly_applied: range = range(0)
    committed: list[Entry] = field(default_factory=list)
    leader_of: dict[int, str] = field(default_factory=dict)
    damage: bool = False
    application: Application = field(default_factory=KeyValueStore)
    # Those that check steps, in order:
    invariants: list[RaftInvariant] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._checks: dict[tuple[bool, ...], list[Callable[[RaftNode], None]]] = {}  # by a step's changes

    def begin(self, members: Iterable[Member]) -> None:
        self.invariants.clear()  # those that are watched, too, begin after it
        self._checks.clear()

    def on_step(self, node: Node) -> None:
        assert isinstance(node, RaftNode)
        server = self.servers.get(node.name)
        if server is None:
            server = self.servers[node.name] = ServerRecord(node, node.host.disk)
        elif server.node is not node:  # restarted: volatile state is lost
            server.node, server.leading, server.commit_index, server.last_applied = node, 0, 0, 0
            if node.disk_damaged and not _LOG_FIELDS.isdisjoint(node.disk_damaged):
                self._note_damage(server)
        self._compare_logs(server, node)
        self.was_leading = server.leading
        server.leading = node.current_term if node.role == "leader" else 0
        self.elected = server.leading > self.was_leading
        committed, applied = node.commit_index, node.last_applied
        self.newly_committed = range(server.commit_index + 1, committed + 1)
        self.newly_applied = range(server.last_applied + 1, applied + 1)
        changes = (
            bool(self.removed),
            bool(self.added),
            self.elected,
            committed > server.commit_index,
            applied > server.last_applied,
        )
        server.commit_index, server.last_applied = committed, applied
        checks = self._checks.get(changes)
        if checks is None:
            checks = self._checks[changes] = self._checks_after(changes)
        for check in checks:
            check(node)

    def _checks_after(self, changes: tuple[bool, ...]) -> list[Callable[[RaftNode], None]]:
        """What the invariants check after a step with these changes, in their order."""
        changed = {name for name, is_so in zip(_CHANGES, changes, strict=True) if is_so}
        return [one.check for one in self.invariants if not one.after or not changed.isdisjoint(one.after)]

    def _compare_logs(self, server: ServerRecord, node: RaftNode) -> None:
        """Find the entries that were removed from the end of the log, and those that were added."""
        self.removed, self.added = [], []
        old, new = server.log, node.log.items
        floor = node.floor()
        if floor >= server.first:  # a snapshot replaced the first entries, or all
            del old[: floor + 1 - server.first]
            server.first = floor + 1
        elif floor + 1 < server.first:  # a crash lost an unsynced snapshot, and brought the entries back
            old.clear()
            server.first = floor + 1
        if len(old) == len(new) and (not new or old[-1] is new[-1]):
            return
        same = min(len(old), len(new))
        while same and old[same - 1] is not new[same - 1]:
            same -= 1
        first = server.first
        self.removed = [(first + i, old[i]) for i in range(same, len(old))]
        self.added = [(first + i, new[i]) for i in range(same, len(new))]
        old[same:] = new[same:]

    def _note_damage(self, server: ServerRecord) -> None:
        """A server has booted with a damaged log: note what it had acknowledged."""
        server.damages += 1
        for term, index in server.acknowledged.items():
            server.taken[term] = max(index, server.taken.get(term, 0))
        if server.acknowledged:
            term = max(server.acknowledged)
            entry = server.entry(server.acknowledged[term])
            server.missing = (term, server.acknowledged[term], None if entry is None else entry.term)
        server.acknowledged = {}

    def is_told_of(self, kind: type) -> bool:
        return hasattr(kind, "term")

    def on_send(self, src: str, dst: str, message: Any) -> None:
        server = self.servers.get(src)
        if server is not None and message.term > server.externalised:
            server.externalised = message.term
        if self.damage and server is not None and message.__class__ is AppendEntriesReply and message.success:
            term, index = message.term, message.index
            server.acknowledged[term] = max(index, server.acknowledged.get(term, 0))

    # The contents of the disks

    def on_disk(self, name: str, value: str, default: Any) -> Any:
        """The value of a field that a crash of the server now would leave; for a crashed server, the value left."""
        return self.servers[name].disk.durable(value, default)

    def durable_term_at(self, name: str, index: int) -> int | None:
        """The term of the entry at ``index`` on a server's disk; None: there is no entry."""
        log = self.on_disk(name, "log", ())
        at = index - 1
        if "beginning" in type(self.servers[name].node)._durables:  # it takes snapshots
            floor, term = self.on_disk(name, "beginning", (0, 0))
            at -= floor
            if index == floor:
                return int(term)
            if (
                index < floor
            ):  # inside the snapshot, which holds committed entries only (by another invariant)
                return self.committed[index - 1].term if index <= len(self.committed) else None
        return log[at].term if 0 <= at < len(log) else None


@dataclass
class RaftInvariant(Invariant):
    """An invariant of Raft. Subclasses override `check`, `on_send` and the other hooks of `Invariant`."""

    after: ClassVar[tuple[str, ...]] = ()
    """The changes after which `check` is called, by their names in the history; (), the default: after every step."""
    history: RaftHistory = field(default_factory=RaftHistory, repr=False)

    def begin(self, members: Iterable[Member]) -> None:
        if type(self).check is not RaftInvariant.check:
            self.history.invariants.append(self)

    def check(self, node: RaftNode) -> None:
        """Check after a handler of ``node`` has run; ``self.history``, which calls it, has the changes."""
