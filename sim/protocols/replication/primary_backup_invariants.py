"""What must always hold of primary-backup. Each law has a mutant that breaks it (tests/protocols).

Sources: the primary-backup line of the project's table of invariants; Budhiraja et al. 1993, section 8.2; Kafka
KIP-101 (log matching by epoch and offset); MIT 6.824 lab 2 (promotion only of an initialised backup).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sim.node import Node
from sim.protocols.client import Reply
from sim.protocols.kv import KeyValueStore
from sim.protocols.membership.view_service import Ping, ViewIs, ViewService
from sim.protocols.replication.primary_backup import Append, AppendOk, Entry, PrimaryBackupNode
from sim.system import Invariant

if TYPE_CHECKING:
    from sim.protocols.replication.primary_backup import PrimaryBackup

__all__ = [
    "AcknowledgedSurvives",
    "BackupIsPrefix",
    "DurableBeforeSend",
    "InitialisedPrimary",
    "NoAnswerFromThePast",
    "OnePrimaryPerView",
    "SameAnswer",
    "StoreIsLog",
    "ViewMonotone",
    "invariants_of",
]


def invariants_of(system: PrimaryBackup) -> Iterable[Invariant]:
    """The laws that a system of these settings promises."""
    laws: list[Invariant] = [
        OnePrimaryPerView(),
        NoAnswerFromThePast(),
        BackupIsPrefix(),
        ViewMonotone(),
        DurableBeforeSend(),
        InitialisedPrimary(),
        StoreIsLog(),
    ]
    if system.mode == "sync":
        laws += [AcknowledgedSurvives(), SameAnswer()]
    return laws


@dataclass
class OnePrimaryPerView(Invariant):
    """A view has one primary, and one life of it: nothing that a view's number stands for is said twice."""

    law: ClassVar[str] = "one primary per view"
    primaries: dict[int, tuple[str, int]] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart":
            self.lives[node] = self.lives.get(node, 0) + 1

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Append:
            me = (src, self.lives.get(src, 0))
            first = self.primaries.setdefault(message.view, me)
            if first != me:
                self.violated(
                    (first[0], src),
                    f"{first[0]} (incarnation {first[1]}) led view {message.view}",
                    f"{src} (incarnation {me[1]}) leads it, too",
                )


@dataclass
class NoAnswerFromThePast(Invariant):
    """Once a newer view has answered a client, no older one does.

    Held answers would be an exception (decided before, sent after); this protocol holds none.
    """

    law: ClassVar[str] = "no answer of an old view"
    views: dict[str, int] = field(default_factory=dict)
    newest: tuple[int, str] = (0, "")

    def on_step(self, node: Node) -> None:
        if isinstance(node, PrimaryBackupNode):
            self.views[node.name] = node.view_number

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Reply and src in self.views:
            view = self.views[src]
            if view < self.newest[0]:
                self.violated(
                    (src, self.newest[1]),
                    f"{self.newest[1]} has answered clients in view {self.newest[0]}",
                    f"{src} answers {message!r} in view {view}",
                )
            self.newest = max(self.newest, (view, src))


@dataclass
class BackupIsPrefix(Invariant):
    """The log of whoever holds a view's log is a prefix of what that view's primary has had."""

    law: ClassVar[str] = "backup log is a prefix of the primary's"
    ghost: dict[int, list[Entry]] = field(default_factory=dict)  # view -> all that its primary ever had
    checked: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # incarnation, view, length

    def on_step(self, node: Node) -> None:
        if not isinstance(node, PrimaryBackupNode):
            return
        log, view = node.log.items, node.log_view
        incarnation, known, length = self.checked.get(node.name, (-1, 0, 0))
        if (incarnation, known) != (node.incarnation, view) or len(log) < length:
            length = 0
        if length == len(log) and length > 0:
            return
        self.checked[node.name] = (node.incarnation, view, len(log))
        if node.role == "primary":
            ghost = self.ghost.setdefault(view, [])
            if length == 0:
                ghost[:] = log if len(log) >= len(ghost) else ghost
            else:
                ghost.extend(log[len(ghost) :])
        if view in self.ghost:
            self._compare(node.name, view, log, length)

    def _compare(self, name: str, view: int, log: list[Entry], since: int) -> None:
        ghost = self.ghost[view]
        for position in range(since, len(log)):
            theirs = ghost[position] if position < len(ghost) else None
            if theirs != log[position]:
                self.violated(
                    (name,),
                    f"at position {position + 1} of view {view} the primary had {theirs!r}",
                    f"{name}, which follows view {view}, has {log[position]!r}",
                )


@dataclass
class ViewMonotone(Invariant):
    """No node goes back behind a view that it has told anybody, restarts included."""

    law: ClassVar[str] = "view numbers never go back"
    told: dict[str, int] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart" and detail.get("wiped"):
            self.told.pop(node, None)  # a new machine under an old name

    def on_send(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__
        if kind is Ping or kind is AppendOk or kind is Append:
            view = message.view
        elif kind is ViewIs:
            view = message.view.number
        else:
            return
        if view < self.told.get(src, 0):
            self.violated((src,), f"{src} had told view {self.told[src]}", f"it says {message!r}")
        self.told[src] = max(view, self.told.get(src, 0))

    def on_step(self, node: Node) -> None:
        view = node.view.number if isinstance(node, ViewService) else getattr(node, "view_number", None)
        if view is not None and view < self.told.get(node.name, 0):
            self.violated(
                (node.name,), f"{node.name} had told view {self.told[node.name]}", f"it is at view {view}"
            )


@dataclass
class DurableBeforeSend(Invariant):
    """What a node says that it holds, and the view that it says it follows, is on its disk."""

    law: ClassVar[str] = "durable before send"
    nodes: dict[str, Node] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        self.nodes[node.name] = node

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is AppendOk:
            self._check(src, "log", message.position, message)
            self._check(src, "view_number", message.view, message)
        elif message.__class__ is ViewIs:
            self._check(src, "view", message.view.number, message)

    def _check(self, name: str, field_name: str, told: int, message: Any) -> None:
        node = self.nodes.get(name)
        if node is None or getattr(
            node.host.disk, "instant", True
        ):  # a node just booting has not stepped yet
            return
        stored = node.host.disk.durable(field_name)
        if stored is None:
            held = 0
        elif field_name == "log":
            held = len(stored)
        else:
            held = stored.number if field_name == "view" else stored
        if held < told:
            self.violated((name,), f"{name} says {message!r}", f"on its disk, {field_name} is at {held}")


@dataclass
class InitialisedPrimary(Invariant):
    """Whoever becomes primary of a view holds the log of the last acknowledged view before it."""

    law: ClassVar[str] = "only initialised members are promoted"
    followed: dict[str, int] = field(default_factory=dict)  # the newest view whose log a member held

    def on_step(self, node: Node) -> None:
        if isinstance(node, PrimaryBackupNode):
            self.followed[node.name] = node.log_view

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is ViewIs and message.view.number > 1:
            chosen, after = message.view.primary, message.view.after
            if self.followed.get(chosen, 0) < after:
                self.violated(
                    (src, chosen),
                    f"{src} makes {chosen} primary of view {message.view.number}, after view {after}",
                    f"{chosen} holds the log of view {self.followed.get(chosen, 0)} only",
                )


@dataclass
class AcknowledgedSurvives(Invariant):
    """An acknowledged write is in the log of the primary of every later view from its first moment on."""

    law: ClassVar[str] = "acknowledged writes are in every later view"
    acknowledged: dict[tuple[int, int], int] = field(default_factory=dict)  # command -> view that said so
    present: dict[int, set[tuple[int, int]]] = field(default_factory=dict)  # view -> commands of its primary
    seen: dict[int, int] = field(default_factory=dict)  # view -> entries looked at
    views: dict[str, int] = field(default_factory=dict)
    newest: int = 0
    node_of: dict[int, str] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        if not isinstance(node, PrimaryBackupNode) or node.role != "primary":
            return
        view = self.views[node.name] = node.view_number
        begins = view not in self.present
        present = self.present.setdefault(view, set())
        for entry in node.log.items[self.seen.get(view, 0) :]:
            present.add((entry.command.session, entry.command.sequence))
        self.seen[view] = len(node.log)
        if begins:
            self.node_of[view] = node.name
            self.newest = max(self.newest, view)
            for identity, said in self.acknowledged.items():
                if said < view and identity not in present:
                    self._lost(identity, said, view)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is not Reply or message.status != "ok" or src not in self.views:
            return
        identity = (message.session, message.sequence)
        view = self.views[src]
        if identity not in self.present.get(view, ()):
            return  # a read
        self.acknowledged.setdefault(identity, view)
        if view < self.newest and identity not in self.present[self.newest]:
            self._lost(identity, view, self.newest)

    def _lost(self, identity: tuple[int, int], said: int, view: int) -> None:
        self.violated(
            (self.node_of.get(said, "?"), self.node_of[view]),
            f"command {identity} was acknowledged in view {said}",
            f"{self.node_of[view]}, primary of view {view}, does not have it",
        )


@dataclass
class SameAnswer(Invariant):
    """All answers to one write are equal: it took effect once."""

    law: ClassVar[str] = "exactly once"
    answers: dict[tuple[int, int], Reply] = field(default_factory=dict)
    reads: ClassVar[frozenset[str]] = frozenset({"get"})
    kinds: dict[tuple[int, int], str] = field(default_factory=dict)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        command = getattr(message, "command", None)
        if command is not None:
            self.kinds[command.session, command.sequence] = command.kind

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is not Reply:
            return
        identity = (message.session, message.sequence)
        if self.kinds.get(identity) in self.reads:
            return
        first = self.answers.setdefault(identity, message)
        if first != message:
            self.violated((src,), f"the answer was {first!r}", f"now it is {message!r}")


@dataclass
class StoreIsLog(Invariant):
    """At the end, each store is what its log says, applied in order and each command once."""

    law: ClassVar[str] = "the store is the log, applied once and in order"

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for name, node in nodes.items():
            if isinstance(node, PrimaryBackupNode):
                expected = KeyValueStore()
                seen: set[tuple[int, int]] = set()
                for entry in node.log.items[: node.applied]:
                    identity = (entry.command.session, entry.command.sequence)
                    if identity not in seen:
                        seen.add(identity)
                        expected.execute(entry.command)
                if expected.data != node.store.data:
                    self.violated(
                        (name,),
                        f"{name}'s log, applied up to {node.applied}, gives {expected.data!r}",
                        f"its store holds {node.store.data!r}",
                    )
