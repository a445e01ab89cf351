"""The invariants of primary-backup. Each invariant has a mutant that violates it (tests/protocols).

Sources: the primary-backup line of the project's table of invariants; Budhiraja et al. 1993, section 8.2; Kafka
KIP-101 (log matching by epoch and offset); MIT 6.824 lab 2 (promotion only of an initialised backup).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sim.invariants import Stored, promises
from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.raft import BasicRaft
from sim.protocols.membership.views import Ping, ViewIs, ViewService
from sim.protocols.replication.primary_backup.log_shipping import Append, AppendOk
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode, Unreplicated
from sim.protocols.replication.shipped_log import Entry
from sim.protocols.sessions import Sessions
from sim.system import Invariant

if TYPE_CHECKING:
    from sim.protocols.replication.primary_backup.system import PrimaryBackup

__all__ = [
    "AcknowledgedSurvives",
    "BackupIsPrefix",
    "InitialisedPrimary",
    "NoAnswerFromThePast",
    "OnePrimaryPerView",
    "SameAnswer",
    "StoreIsLog",
    "ViewMonotone",
    "invariants_of",
]


def invariants_of(system: PrimaryBackup) -> Iterable[Invariant]:
    """The invariants that hold for a system with these settings."""
    invariants: list[Invariant] = [
        OnePrimaryPerView(),
        NoAnswerFromThePast(
            reads=system.application.reads,
            stale_reads=system.reads in ("backup", "session"),
            under_lease=system.needs_lease,
        ),
        BackupIsPrefix(),
        ViewMonotone(),
        promises(AppendOk, keeps=("view_number", "base", "log"), shown=holds_what_it_says),
        InitialisedPrimary(),
        StoreIsLog(application=system.application),
    ]
    if system.mode != "async":
        invariants.append(AcknowledgedSurvives())
        if system.fallback is None:
            invariants.append(SameAnswer(reads=system.application.reads))
    if system.services <= 1:
        invariants.append(promises(ViewIs, keeps="view", shown=knows_its_view))
    else:  # a Raft group keeps its decisions in its log
        # The group has no clients: invariants of clients' answers apply to the replicas, not to the Raft group.
        group = BasicRaft(nodes=system.services).invariants()
        invariants += [
            invariant for invariant in group if type(invariant).on_acknowledged is Invariant.on_acknowledged
        ]
    return invariants


@dataclass
class OnePrimaryPerView(Invariant):
    """A view has one primary, in one incarnation, so a view's number identifies one log."""

    title: ClassVar[str] = "one primary per view"
    hears = (Append,)
    primaries: dict[int, tuple[str, int]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart":
            self.epochs[node] = self.epochs.get(node, 0) + 1

    def on_send(self, src: str, dst: str, message: Any) -> None:
        me = (src, self.epochs.get(src, 0))
        first = self.primaries.setdefault(message.view, me)
        if first != me:
            self.violated(
                (first[0], src),
                f"{first[0]} (incarnation {first[1]}) led view {message.view}",
                f"{src} (incarnation {me[1]}) leads it, too",
            )


@dataclass
class NoAnswerFromThePast(Invariant):
    """After a replica in a newer view has answered a client, no replica in an older view answers a later request.

    A replica in an old view may still answer a request that arrived before: all replicas that it needs may have
    confirmed the request before they followed the newer view. It may also answer a retry of a write that is already in
    its log, because the outcome of this write is known. A replica that answers under a lease may do neither, because
    its lease ended before the newer view began.
    """

    title: ClassVar[str] = "no answer of an old view"
    hears = (Request, Reply, Redirect)
    steps_of = (PrimaryBackupNode,)
    reads: frozenset[str] = field(kw_only=True)
    stale_reads: bool = False  # all replicas answer reads
    under_lease: bool = False  # no other replica confirms an answer
    replicas: dict[str, PrimaryBackupNode] = field(default_factory=dict)
    newest: tuple[int, str] = (0, "")
    read: set[tuple[int, int]] = field(default_factory=set)
    # (replica, session, sequence) -> the newest view to have answered a client when each question arrived, if it has
    # no answer yet. A read has a question for each time it was asked; a write has one in all.
    asked: dict[tuple[str, int, int], deque[int]] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        if isinstance(node, PrimaryBackupNode):
            self.replicas[node.name] = node

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart":  # requests before the crash are forgotten
            for question in [question for question in self.asked if question[0] == node]:
                del self.asked[question]

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, Request) and dst in self.replicas:
            command = message.command
            question = (dst, command.session, command.sequence)
            if command.kind in self.reads:
                self.read.add(question[1:])
                self.asked.setdefault(question, deque()).append(self.newest[0])
            elif question not in self.asked:
                outdated = self.replicas[dst].view_number < self.newest[0]
                known = outdated and holds(self.replicas[dst], command)
                self.asked[question] = deque([0 if known else self.newest[0]])

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if src not in self.replicas or not isinstance(message, Reply | Redirect):
            return
        identity = (message.session, message.sequence)
        waiting = self.asked.get((src, *identity), deque())
        is_read = identity in self.read
        when_asked = waiting[0] if waiting else 0
        if is_read and waiting:
            waiting.popleft()  # the questions of one client are answered in order
        if isinstance(message, Redirect) or (is_read and self.stale_reads):
            return
        view = self.replicas[src].view_number
        if view < (self.newest[0] if self.under_lease else when_asked):
            self.violated(
                (src, self.newest[1]),
                f"{self.newest[1]} has answered clients in view {self.newest[0]}",
                f"{src} answers {message!r} in view {view}",
            )
        self.newest = max(self.newest, (view, src))


def holds(replica: PrimaryBackupNode, command: Command) -> bool:
    """Whether a write is in the replica's log, or has taken effect there."""
    identity = (command.session, command.sequence)
    return replica.store.has_applied(*identity) or any(
        (entry.command.session, entry.command.sequence) == identity for entry in replica.log.items
    )


@dataclass
class BackupIsPrefix(Invariant):
    """The log of a member that holds a view's log is a prefix of the log that the view's primary has had.

    A primary may crash before it has sent any message in its view, and lead the same view in its next incarnation: then
    the view begins again (`OnePrimaryPerView` checks that it had sent nothing).
    """

    title: ClassVar[str] = "backup log is a prefix of the primary's"
    steps_of = (PrimaryBackupNode,)
    epochs: dict[int, tuple[str, int]] = field(default_factory=dict)  # view -> its primary, its incarnation
    ghost: dict[int, dict[int, Entry]] = field(
        default_factory=dict
    )  # view -> position -> what its primary had
    origin: dict[int, int] = field(default_factory=dict)  # view -> what its primary had in a snapshot already
    checked: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # incarnation, view, length

    def on_step(self, node: Node) -> None:
        if not isinstance(node, PrimaryBackupNode):
            return
        view = node.log_view
        incarnation, known, last = self.checked.get(node.name, (-1, 0, -1))
        if (incarnation, known) != (node.incarnation, view) or node.last < last:
            last = -1
        if last == node.last:
            return
        self.checked[node.name] = (node.incarnation, view, node.last)
        first = max(last, node.base)
        if node.role == "primary":
            leads = (node.name, node.incarnation)
            if self.epochs.setdefault(view, leads) != leads:
                self.epochs[view] = leads
                self.ghost[view] = {}
                self.origin[view] = node.base
            ghost = self.ghost.setdefault(view, {})
            self.origin.setdefault(view, node.base)
            furthest = next(reversed(ghost), 0)  # positions are noted in order
            for position in range(max(first, furthest), node.last):
                ghost[position + 1] = node.log[position - node.base]
        if view in self.ghost:
            self._compare(node, view, first)

    def _compare(self, node: PrimaryBackupNode, view: int, since: int) -> None:
        ghost = self.ghost[view]
        for position in range(max(since, self.origin[view]), node.last):
            ours, theirs = node.log[position - node.base], ghost.get(position + 1)
            if ours.view > view:
                return  # it is adopting the log of a later view, with which it will be compared
            if theirs is not ours and theirs != ours:
                self.violated(
                    (node.name,),
                    f"at position {position + 1} of view {view} the primary had {theirs!r}",
                    f"{node.name}, which follows view {view}, has {ours!r}",
                )


@dataclass
class ViewMonotone(Invariant):
    """A node's view never falls below a view that it has sent, also after restarts."""

    title: ClassVar[str] = "view numbers never go back"
    hears = (Ping, Append, AppendOk, ViewIs)
    steps_of = (ViewService, PrimaryBackupNode)
    told: dict[str, int] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart" and detail.get("wiped"):
            self.told.pop(node, None)  # a new machine with an old name

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
        view = node.view.number if isinstance(node, ViewService) else node.view_number  # type: ignore[attr-defined]
        if view < self.told.get(node.name, 0):
            self.violated(
                (node.name,), f"{node.name} had told view {self.told[node.name]}", f"it is at view {view}"
            )


def holds_what_it_says(stored: Stored, message: AppendOk, primary: str) -> bool:
    """Whether the disk of a backup has the view and the log that it acknowledges.

    A later view may have truncated the log while the message waited for the disk; then the message has no effect.
    """
    if stored("view_number") > message.view:
        return True
    held = stored("base") + len(stored("log"))
    return bool(stored("view_number") == message.view and held >= message.position)


def knows_its_view(stored: Stored, message: ViewIs, member: str) -> bool:
    """Whether the disk of the view service has the view that it announces, or a later one."""
    view = stored("view")
    return view is not None and view.number >= message.view.number


@dataclass
class InitialisedPrimary(Invariant):
    """The primary of a view held the log of the last acknowledged view before it."""

    title: ClassVar[str] = "only initialised members are promoted"
    steps_of = (PrimaryBackupNode,)
    held: dict[str, int] = field(
        default_factory=dict
    )  # the newest view whose log a member held before the last step
    led: dict[str, int] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        if not isinstance(node, PrimaryBackupNode):
            return
        view = node.view
        if view is not None and self.led.get(node.name) != view.number:
            self.led[node.name] = view.number
            if self.held.get(node.name, 0) < view.after:
                self.violated(
                    (node.name,),
                    f"{node.name} leads view {view.number}, which comes after view {view.after}",
                    f"it held the log of view {self.held.get(node.name, 0)} only",
                )
        self.held[node.name] = node.log_view


@dataclass
class AcknowledgedSurvives(Invariant):
    """An acknowledged write is in the log of the primary of every later view from its first moment on."""

    title: ClassVar[str] = "acknowledged writes are in every later view"
    hears = (Reply,)
    steps_of = (PrimaryBackupNode,)
    acknowledged: dict[tuple[int, int], int] = field(
        default_factory=dict
    )  # command -> view that acknowledged it
    present: dict[int, set[tuple[int, int]]] = field(default_factory=dict)  # view -> commands of its primary
    inherited: dict[int, set[tuple[int, int]]] = field(default_factory=dict)  # those at its first moment
    sessions: dict[int, dict[int, int]] = field(
        default_factory=dict
    )  # session -> last sequence in its store then
    seen: dict[int, int] = field(default_factory=dict)  # view -> entries looked at
    views: dict[str, int] = field(default_factory=dict)
    node_of: dict[int, str] = field(default_factory=dict)
    epochs: dict[int, tuple[str, int]] = field(default_factory=dict)  # view -> its primary, its incarnation

    def on_step(self, node: Node) -> None:
        if not isinstance(node, PrimaryBackupNode) or node.role != "primary":
            return
        view = self.views[node.name] = node.view_number
        leads = (node.name, node.incarnation)
        begins = self.epochs.get(view) != leads
        if begins:  # also when it led this view before it crashed: it has what its disk has kept
            self.epochs[view], self.present[view], self.seen[view] = leads, set(), 0
        present = self.present[view]
        for entry in node.log.items[max(0, self.seen.get(view, 0) - node.base) :]:
            present.add((entry.command.session, entry.command.sequence))
        self.seen[view] = node.last
        if begins:
            self.node_of[view] = node.name
            self.inherited[view] = set(present)
            self.sessions[view] = {session: last for session, (last, _) in node.store.sessions.items()}
            for identity, said in self.acknowledged.items():
                if said < view:
                    self._demand(identity, said, view)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.status != "ok" or src not in self.views:
            return
        if isinstance(message.result, Unreplicated):
            return  # the reply states that a failover may lose it
        identity = (message.session, message.sequence)
        view = self.views[src]
        if identity not in self.present.get(view, ()):
            return  # a read
        self.acknowledged.setdefault(identity, view)
        for later in self.inherited:
            if later > view:  # it was paused between the last backup's confirmation and this answer
                self._demand(identity, view, later)

    def _demand(self, identity: tuple[int, int], said: int, view: int) -> None:
        session, sequence = identity
        in_snapshot = self.sessions[view].get(session, 0) >= sequence
        if identity not in self.inherited[view] and not in_snapshot:
            self.violated(
                (self.node_of.get(said, "?"), self.node_of[view]),
                f"command {identity} was acknowledged in view {said}",
                f"{self.node_of[view]}, primary of view {view}, does not have it",
            )


@dataclass
class SameAnswer(Invariant):
    """All answers to one write are equal: it took effect once."""

    title: ClassVar[str] = "exactly once"
    reads: frozenset[str] = field(kw_only=True)
    answers: dict[tuple[int, int], tuple[Any, ...]] = field(default_factory=dict)
    kinds: dict[tuple[int, int], str] = field(default_factory=dict)

    def is_told_of(self, kind: type) -> bool:
        return hasattr(kind, "command") or issubclass(kind, Reply)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        command = getattr(message, "command", None)
        if command is not None:
            self.kinds[command.session, command.sequence] = command.kind

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if not isinstance(message, Reply):
            return
        identity = (message.session, message.sequence)
        if self.kinds.get(identity) in self.reads:
            return
        answer = (message.status, message.value, message.result)  # a session's token may differ
        first = self.answers.setdefault(identity, answer)
        if first != answer:
            self.violated((src,), f"the answer to {identity} was {first!r}", f"now it is {answer!r}")


@dataclass
class StoreIsLog(Invariant):
    """At the end, each store is the result of applying its log in order, each command once."""

    title: ClassVar[str] = "the store is the log, applied once and in order"
    application: Application = field(kw_only=True)

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for name, node in nodes.items():
            if isinstance(node, PrimaryBackupNode):
                expected = Sessions(self.application)
                if node.snapshot is not None:
                    expected.restore(node.snapshot)
                seen = {(session, last) for session, (last, _) in expected.sessions.items()}
                for entry in node.log.items[: node.applied - node.base]:
                    identity = (entry.command.session, entry.command.sequence)
                    if identity not in seen:
                        seen.add(identity)
                        expected.execute(entry.command)
                if expected.state != node.store.state:
                    self.violated(
                        (name,),
                        f"{name}'s log, applied up to {node.applied}, gives {expected.state!r}",
                        f"its store holds {node.store.state!r}",
                    )
