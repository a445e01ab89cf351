"""The invariants of Viewstamped Replication, checked against a ghost of everything ever acknowledged and committed.

The ghost sees each message when it leaves its sender, so it also keeps what replicas sent in incarnations that have
ended. For the ghost, an operation is committed as soon as the primary of a view and f backups hold it, which may be
before any replica knows it. From then on the operation must be in every later view.

Sources: Liskov & Cowling 2012, section 4; Michael, Ports, Sharma, Szekeres, DISC 2017, for quorums that are
crash-consistent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.command import Command
from sim.protocols.consensus.by_message import ByMessage
from sim.protocols.consensus.client_ghost import ClientGhost, check_states
from sim.protocols.consensus.vr.messages import (
    Commit,
    DoViewChange,
    Prepare,
    PrepareOk,
    RecoveryResponse,
    StartView,
)
from sim.protocols.consensus.vr.replica import NORMAL

__all__ = ["ViewstampedSafety"]


@dataclass
class ViewstampedSafety(ByMessage):
    """One history; committed operations are in every later view; no replica loses an operation that it acknowledged.

    Parameters: the names of the replicas, in order; the view in which the run begins; the replicated application.
    """

    members: tuple[str, ...] = field(kw_only=True)
    first_view: int = field(kw_only=True)
    application: Application = field(kw_only=True)

    def __post_init__(self) -> None:
        self.f = len(self.members) // 2
        self.nodes: dict[str, Any] = {}
        self.clients = ClientGhost(self.application)
        self.committed: list[tuple[Command, int]] = []  # of each operation: the command, its view
        self.views: dict[str, tuple[int, int]] = {}  # replica -> its incarnation and view
        self.leads: dict[int, tuple[str, int]] = {}  # view -> its primary and the primary's incarnation
        self.logs: dict[int, list[Command]] = {
            self.first_view: []
        }  # view -> the operations that its primary ordered
        self.vouched: dict[int, dict[str, int]] = {}  # view -> backup -> number of operations acknowledged
        self.acknowledged: dict[str, tuple[int, int]] = {}  # replica -> latest view, operations in it
        self.compared: dict[
            tuple[str, int, int], int
        ] = {}  # replica, incarnation, view -> operations compared
        self.followed: dict[
            tuple[str, int], int
        ] = {}  # replica, incarnation -> operations of its commit checked
        self.reports: dict[int, dict[str, DoViewChange]] = {}  # view -> reports that its primary received

    # Hooks

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, DoViewChange):
            self.reports.setdefault(message.view, {})[src] = message

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "last_normal"):
            return
        replica: Any = node
        name = node.name
        self.nodes[name] = replica
        incarnation, view = self.views.get(name, (replica.incarnation, 0))
        if incarnation == replica.incarnation and replica.view < view:
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

    # The invariants for each message

    def sent_request(self, src: str, msg: Any) -> None:
        """A command that a client sends may be ordered."""
        self.clients.ask(msg.command)

    def sent_prepare(self, src: str, msg: Prepare) -> None:
        """A view has one primary, which gives each number to one command, sent by a client (4.1)."""
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
        """Only the primary sends Commit."""
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
        """The report contains everything that its sender has acknowledged."""
        self.check_kept(src, msg.last_normal, len(msg.log))

    def sent_startview(self, src: str, msg: StartView) -> None:
        """A view begins once, with every committed operation, and with the best log of f + 1 reports (4.2)."""
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
        """Only a normal replica answers a recovering one, and only the primary sends its log (4.3)."""
        sender = self.nodes[src]
        leads = self.primary_of(msg.view) == src
        if sender.status != NORMAL or sender.view != msg.view or (msg.log is not None) != leads:
            state = f"{sender.status} in view {sender.view}"
            self.violated(
                src, f"it is {state}", f"it sends {msg!r}", invariant="only a normal replica helps to recover"
            )

    def sent_reply(self, src: str, msg: Any) -> None:
        """A command is committed before its reply; each committed command took effect once in the replies."""
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
        """A view is led by one replica, in one of its incarnations."""
        lead = (src, self.nodes[src].incarnation)
        first = self.leads.setdefault(view, lead)
        if first != lead or src != self.primary_of(view):
            facts = (
                f"{first[0]} leads view {view} in incarnation {first[1]}",
                f"{src} in incarnation {lead[1]}",
            )
            self.violated(src, *facts, invariant="one primary a view")

    def acknowledge(self, name: str, view: int, op: int) -> None:
        """Note that a replica has declared that it is in a view and holds the view's first ``op`` operations."""
        self.acknowledged[name] = max((view, op), self.acknowledged.get(name, (0, 0)))

    def check_kept(self, name: str, view: int, op: int) -> None:
        """A replica still has what it acknowledged, or is in a later view, even after a crash."""
        before = self.acknowledged.get(name, (0, 0))
        if (view, op) < before:
            self.violated(
                name,
                f"it acknowledged {before[1]} operations of view {before[0]}",
                f"it has {op} of view {view}",
                invariant="what was acknowledged is kept",
            )

    def commit_up_to(self, op: int, view: int) -> None:
        """Take the first ``op`` operations of a view as committed: its primary and f backups hold them."""
        for number in range(len(self.committed), op):
            command = self.logs[view][number]
            self.committed.append((command, view))
            self.clients.fold(command)

    def check_commit(self, replica: Any) -> None:
        """Operations that a replica treats as committed are held by f + 1 replicas, and are the same at all of them.

        Only operations that are newly committed are compared.
        """
        key = (replica.name, replica.incarnation)
        before = self.followed.get(key, 0)
        if replica.commit <= before:
            return
        if not self.f:
            self.logs[replica.view] = replica.log  # a single replica sends no messages about what it orders
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
        """Every operation that was committed in an earlier view is in a view's first log."""
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
        """This log is the best of some f + 1 reports, one of them the sender's, that are crash-consistent."""
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
        """Whether no sender had begun a later incarnation, as far as any of the other senders knew (DISC 2017)."""
        return all(
            report.epochs[self.members.index(name)] >= other.epochs[self.members.index(name)]
            for name, report in reports
            for _, other in reports
        )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """The state of each replica is the result of the committed operations that it has executed."""
        check_states(
            self,
            [node for node in nodes.values() if hasattr(node, "last_normal")],
            self.application,
            lambda number: self.committed[number][0],
            values="operations",
            fold_of="committed",
        )

    # Helpers

    def primary_of(self, view: int) -> str:
        """The primary of a view: replica view mod n."""
        return self.members[view % len(self.members)]


def _rank(report: DoViewChange) -> tuple[int, int]:
    return report.last_normal, len(report.log)
