"""What must always hold in Viewstamped Replication, against a ghost of all that was ever acknowledged and committed.

The ghost is told of a message when it leaves its sender, so it keeps what replicas said in lives that have ended. An
operation is committed, for the ghost, when the primary of a view and f backups hold it, which may be before anybody
knows; from then on it must be in every later view.

Sources: Liskov & Cowling 2012, section 4; Michael, Ports, Sharma, Szekeres, DISC 2017, for quorums that are
crash-consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.consensus.client_ghost import ClientGhost
from sim.protocols.consensus.vr.messages import (
    Commit,
    DoViewChange,
    Prepare,
    PrepareOk,
    RecoveryResponse,
    StartView,
)
from sim.protocols.consensus.vr.replica import NORMAL
from sim.protocols.kv import Command
from sim.system import Invariant

__all__ = ["ViewstampedSafety"]


@dataclass
class ViewstampedSafety(Invariant):
    """One history; committed operations are in every later view; nobody forgets what it vouched for.

    Parameters: the names of the replicas, in order, the view with which the run begins, and what is replicated.
    """

    members: tuple[str, ...] = field(kw_only=True)
    first_view: int = field(kw_only=True)
    application: Application = field(kw_only=True)

    def __post_init__(self) -> None:
        self.f = len(self.members) // 2
        self.nodes: dict[str, Any] = {}
        self.clients = ClientGhost(self.application)
        self.committed: list[tuple[Command, int]] = []  # of each operation: the command, its view
        self.views: dict[str, tuple[int, int]] = {}  # replica -> its life and view
        self.leads: dict[int, tuple[str, int]] = {}  # view -> its primary, and in which life
        self.logs: dict[int, list[Command]] = {self.first_view: []}  # view -> what its primary ordered
        self.vouched: dict[int, dict[str, int]] = {}  # view -> backup -> how many operations it vouched for
        self.acknowledged: dict[str, tuple[int, int]] = {}  # replica, in any life -> last view, operations
        self.compared: dict[tuple[str, int, int], int] = {}  # replica, life, view -> operations compared
        self.followed: dict[tuple[str, int], int] = {}  # replica, life -> how much of its commit is checked
        self.reports: dict[int, dict[str, DoViewChange]] = {}  # view -> what reached its primary
        self._told: dict[type, Callable[[str, Any], None] | None] = {}

    # What is told

    def on_send(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__
        if kind not in self._told:
            self._told[kind] = getattr(self, f"sent_{kind.__name__.lower()}", None)
        told = self._told[kind]
        if told is not None:
            told(src, message)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, DoViewChange):
            self.reports.setdefault(message.view, {})[src] = message

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "last_normal"):
            return
        replica: Any = node
        name = node.name
        self.nodes[name] = replica
        life, view = self.views.get(name, (replica.incarnation, 0))
        if life == replica.incarnation and replica.view < view:
            self.violated(
                name, f"it was in view {view}", f"it is in view {replica.view}", invariant="views only grow"
            )
        self.views[name] = (replica.incarnation, replica.view)
        if not replica.applied <= replica.commit <= replica.op:
            self.violated(
                name,
                f"its log has {replica.op} operations",
                f"it committed {replica.commit} and applied {replica.applied}",
                invariant="committed is in the log",
            )
        if replica.status == NORMAL:
            self.check_kept(name, replica.view, replica.op)
        self.check_commit(replica)

    # The invariants, message by message

    def sent_request(self, src: str, msg: Any) -> None:
        """What is asked for may be ordered."""
        self.clients.ask(msg.command)

    def sent_prepare(self, src: str, msg: Prepare) -> None:
        """A view has one primary, and that one command for each number, which a client has asked for (4.1)."""
        self.check_primary(src, msg.view)
        log = self.logs.get(msg.view, [])
        if msg.op == len(log) + 1:
            if self.clients.invented(msg.command) is not None:
                self.violated(
                    src, f"it orders {msg.command!r}", "no client asked for that", invariant="validity"
                )
            log.append(msg.command)
        elif msg.op > len(log) or log[msg.op - 1] != msg.command:
            known = repr(log[msg.op - 1]) if msg.op <= len(log) else f"{len(log)} operations"
            self.violated(
                src, f"view {msg.view} has {known}", f"it sends {msg!r}", invariant="one command per number"
            )
        self.acknowledge(src, msg.view, msg.op)

    def sent_commit(self, src: str, msg: Commit) -> None:
        """Only the primary says what is committed."""
        self.check_primary(src, msg.view)

    def sent_prepareok(self, src: str, msg: PrepareOk) -> None:
        """PrepareOk(v, k): the sender is normal in v and holds operations 1 to k as the primary of v ordered them."""
        sender = self.nodes[src]
        if sender.status != NORMAL or sender.view != msg.view or sender.op < msg.op:
            state = f"{sender.status} in view {sender.view} with {sender.op} operations"
            self.violated(
                src, f"it sends {msg!r}", f"it is {state}", invariant="a replica vouches for what it has"
            )
        ordered = self.logs[msg.view]
        key = (src, sender.incarnation, msg.view)
        for number in range(self.compared.get(key, 0), msg.op):
            if number >= len(ordered) or sender.log[number] != ordered[number]:
                there = repr(ordered[number]) if number < len(ordered) else "nothing"
                self.violated(
                    src,
                    f"operation {number + 1} of view {msg.view} is {there}",
                    f"it vouches for {sender.log[number]!r}",
                    invariant="a replica vouches for what it has",
                )
        self.compared[key] = max(msg.op, self.compared.get(key, 0))
        self.acknowledge(src, msg.view, msg.op)
        vouched = self.vouched.setdefault(msg.view, {})
        vouched[src] = max(msg.op, vouched.get(src, 0))
        if len(vouched) >= self.f:
            self.commit_up_to(sorted(vouched.values(), reverse=True)[self.f - 1], msg.view)

    def sent_doviewchange(self, src: str, msg: DoViewChange) -> None:
        """It reports all that its sender has acknowledged."""
        self.check_kept(src, msg.last_normal, len(msg.log))

    def sent_startview(self, src: str, msg: StartView) -> None:
        """A view begins once, with all that was committed, and with the best of f + 1 reports (4.2)."""
        self.check_primary(src, msg.view)
        known = self.logs.get(msg.view)
        if known is None:
            self.check_complete(src, msg)
            self.check_choice(src, msg)
            self.logs[msg.view] = list(msg.log)
            self.acknowledge(src, msg.view, len(msg.log))
            self.reports.pop(msg.view, None)
        elif tuple(known[: len(msg.log)]) != msg.log:
            self.violated(
                src, f"view {msg.view} has {known!r}", f"it sends {msg!r}", invariant="a view begins once"
            )

    def sent_recoveryresponse(self, src: str, msg: RecoveryResponse) -> None:
        """Only a normal replica answers one that recovers, and only the primary sends its log (4.3)."""
        sender = self.nodes[src]
        leads = self.primary_of(msg.view) == src
        if sender.status != NORMAL or sender.view != msg.view or (msg.log is not None) != leads:
            state = f"{sender.status} in view {sender.view}"
            self.violated(
                src, f"it is {state}", f"it sends {msg!r}", invariant="only a normal replica helps to recover"
            )

    def sent_reply(self, src: str, msg: Any) -> None:
        """What is answered is committed, and every answer is what the committed operations yield, each once."""
        self.check_commit(self.nodes[src])
        truth = self.clients.truth(msg)
        if truth is None:
            facts = (f"it answers {msg!r}", f"{len(self.committed)} operations are committed, not this one")
            self.violated(src, *facts, invariant="acknowledged is committed")
        if not self.clients.is_true(msg):
            self.violated(
                src, f"the operations yield {truth!r}", f"it answers {msg!r}", invariant="exactly once"
            )

    # The invariants themselves

    def check_primary(self, src: str, view: int) -> None:
        """One replica, and it in one life only, leads a view."""
        lead = (src, self.nodes[src].incarnation)
        first = self.leads.setdefault(view, lead)
        if first != lead or src != self.primary_of(view):
            facts = (f"{first[0]} leads view {view} in life {first[1]}", f"{src} leads it in life {lead[1]}")
            self.violated(src, *facts, invariant="one primary a view")

    def acknowledge(self, name: str, view: int, op: int) -> None:
        """A replica has said that it takes part in a view, and holds so many of its operations."""
        self.acknowledged[name] = max((view, op), self.acknowledged.get(name, (0, 0)))

    def check_kept(self, name: str, view: int, op: int) -> None:
        """What a replica acknowledged, it still has, or is in a later view; whatever happened to it meanwhile."""
        before = self.acknowledged.get(name, (0, 0))
        if (view, op) < before:
            self.violated(
                name,
                f"it acknowledged {before[1]} operations of view {before[0]}",
                f"it has {op} of view {view}",
                invariant="what was acknowledged is kept",
            )

    def commit_up_to(self, op: int, view: int) -> None:
        """The primary and f backups of a view hold these operations."""
        for number in range(len(self.committed), op):
            command = self.logs[view][number]
            self.committed.append((command, view))
            self.clients.fold(command)

    def check_commit(self, replica: Any) -> None:
        """What a replica takes for committed is held by f + 1, and the same everywhere: compare what is new."""
        key = (replica.name, replica.incarnation)
        before = self.followed.get(key, 0)
        if replica.commit <= before:
            return
        if not self.f:
            self.logs[replica.view] = replica.log  # alone, it tells nobody what it orders
            self.commit_up_to(replica.commit, replica.view)
        for number in range(before, replica.commit):
            if number >= len(self.committed):
                self.violated(
                    replica.name,
                    f"of {len(self.committed)} operations f backups have said that they have them",
                    f"it commits {replica.commit}",
                    invariant="committed is held by f + 1",
                )
            command, view = self.committed[number]
            if replica.log[number] != command:
                self.violated(
                    replica.name,
                    f"operation {number + 1} is {command!r}, committed in view {view}",
                    f"it commits {replica.log[number]!r} there in view {replica.view}",
                    invariant="one history",
                )
        self.followed[key] = replica.commit

    def check_complete(self, src: str, msg: StartView) -> None:
        """All that was committed in earlier views is in a view's first log."""
        for number, (command, view) in enumerate(self.committed):
            if view < msg.view and (number >= len(msg.log) or msg.log[number] != command):
                found = repr(msg.log[number]) if number < len(msg.log) else "nothing"
                self.violated(
                    src,
                    f"operation {number + 1}, {command!r}, was committed in view {view}",
                    f"view {msg.view} begins with {found} there",
                    invariant="committed operations are in every later view",
                )

    def check_choice(self, src: str, msg: StartView) -> None:
        """Some f + 1 reports, its own among them, agree on whose lives have ended, and this log is their best."""
        received = self.reports.get(msg.view, {})
        for chosen in combinations(received, self.f + 1):
            if src in chosen and self.are_consistent([(name, received[name]) for name in chosen]):
                best = max((received[name] for name in chosen), key=_rank)
                if best.log == msg.log:
                    return
        seen = {name: (*_rank(report), report.epochs) for name, report in received.items()}
        self.violated(
            src,
            f"the reports (last normal view, operations, epochs) are {seen!r}",
            f"view {msg.view} begins with {len(msg.log)} operations",
            invariant="the best of f + 1 reports",
        )

    def are_consistent(self, reports: list[tuple[str, DoViewChange]]) -> bool:
        """Whether none of the senders had begun another life when one of the others reported (DISC 2017)."""
        return all(
            report.epochs[self.members.index(name)] >= other.epochs[self.members.index(name)]
            for name, report in reports
            for _, other in reports
        )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """Every replica's state is the fold of the committed operations, as far as it has executed them."""
        replicas: list[Any] = [node for node in nodes.values() if hasattr(node, "last_normal")]
        ghost = ClientGhost(self.application)
        for replica in sorted(replicas, key=lambda replica: int(replica.applied)):
            while ghost.folded < replica.applied:
                ghost.fold(self.committed[ghost.folded][0])
            held, store = replica.store, ghost.store
            if (held.state, held.sessions) != (store.state, store.sessions):
                self.violated(
                    replica.name,
                    f"{ghost.folded} operations make {store.state!r}",
                    f"it holds {held.state!r}",
                    invariant="state is the fold of the committed",
                )

    # Helpers

    def primary_of(self, view: int) -> str:
        """Replicas are primary in turn."""
        return self.members[view % len(self.members)]


def _rank(report: DoViewChange) -> tuple[int, int]:
    return report.last_normal, len(report.log)
