"""What must always hold in Viewstamped Replication, against a ghost of all that was ever committed and sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.node import Node
from sim.protocols.client import Reply
from sim.protocols.consensus.vr import NORMAL, PrepareOk, StartView
from sim.protocols.kv import Command
from sim.system import Invariant

__all__ = ["ViewstampedSafety"]


@dataclass
class ViewstampedSafety(Invariant):
    """One history; committed operations are in every later view; nobody vouches for what it has not got."""

    law = "viewstamped replication"

    def __post_init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.committed: list[
            tuple[Command, int]
        ] = []  # of each op: the command, and the view in which it was seen
        self.views: dict[str, tuple[int, int]] = {}  # replica -> its life and view
        self.followed: dict[
            tuple[str, int], int
        ] = {}  # replica and life -> how much of its commit is checked
        self.begun: dict[int, str] = {}  # view -> who began it
        self.replies: dict[tuple[int, int], tuple[Any, ...]] = {}

    def broken(self, law: str, nodes: tuple[str, ...], *facts: str) -> None:
        """Report a violation of one of the laws."""
        self.law = law  # type: ignore[misc]
        self.violated(nodes, *facts)

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "last_normal"):
            return
        replica: Any = node
        self.nodes[node.name] = replica
        life, view = self.views.get(node.name, (replica.incarnation, 0))
        if life == replica.incarnation and replica.view < view:
            self.broken(
                "views only grow", (node.name,), f"it was in view {view}", f"it is in view {replica.view}"
            )
        self.views[node.name] = (replica.incarnation, replica.view)
        if replica.commit > replica.op or replica.applied > replica.commit:
            self.broken(
                "committed is in the log",
                (node.name,),
                f"its log has {replica.op} operations",
                f"it committed {replica.commit} and applied {replica.applied}",
            )
        self.check_committed(replica)

    def check_committed(self, replica: Any) -> None:
        """Committed operations are the same at every replica: compare only what is new."""
        key = (replica.name, replica.incarnation)
        for number in range(self.followed.get(key, 0), replica.commit):
            command = replica.log[number]
            if number == len(self.committed):
                self.committed.append((command, replica.view))
            elif self.committed[number][0] != command:
                self.broken(
                    "one history",
                    (replica.name,),
                    f"operation {number + 1} was committed as {self.committed[number][0]!r}",
                    f"{replica.name} commits {command!r} there in view {replica.view}",
                )
        self.followed[key] = max(replica.commit, self.followed.get(key, 0))

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, StartView):
            self.check_start(src, message)
        elif isinstance(message, PrepareOk):
            self.check_vouch(src, message)
        elif isinstance(message, Reply):
            self.check_reply(src, message)

    def check_start(self, src: str, msg: StartView) -> None:
        """A view is begun by its one primary, with all that was committed in earlier views."""
        other = self.begun.setdefault(msg.view, src)
        if other != src:
            self.broken(
                "one primary a view", (src, other), f"{other} began view {msg.view}", f"{src} begins it"
            )
        for number, (command, view) in enumerate(self.committed):
            if view < msg.view and (number >= len(msg.log) or msg.log[number] != command):
                found = repr(msg.log[number]) if number < len(msg.log) else "nothing"
                self.broken(
                    "committed operations are in every later view",
                    (src,),
                    f"operation {number + 1}, {command!r}, was committed in view {view}",
                    f"view {msg.view} begins with {found} there",
                )

    def check_vouch(self, src: str, msg: PrepareOk) -> None:
        """PrepareOk(v, k): the sender is normal in v and holds operations 1 to k."""
        sender = self.nodes.get(src)
        if sender is None or sender.status != NORMAL or sender.view != msg.view or sender.op < msg.op:
            state = "unknown" if sender is None else f"{sender.status} in view {sender.view} with {sender.op}"
            self.broken("who vouches, has it", (src,), f"it sends {msg!r}", f"it is {state} operations")

    def check_reply(self, src: str, msg: Reply) -> None:
        """Exactly once: every answer to one request is the same, and what is answered is committed."""
        answer = (msg.status, msg.value, msg.result)
        known = self.replies.setdefault((msg.session, msg.sequence), answer)
        if known != answer:
            self.broken(
                "exactly once",
                (src,),
                f"request {msg.sequence} of session {msg.session} was answered {known!r}",
                f"{src} answers {answer!r}",
            )
