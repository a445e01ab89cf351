"""Invariants of SWIM's membership lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.invariants import Stored, promises, remembered
from sim.message import message
from sim.node import Node
from sim.system import Invariant

__all__ = ["GONE", "SwimSafety", "Update", "swim_invariants"]

GONE = frozenset({"dead", "left"})
"""Statuses that only an alive update with a higher incarnation can end."""


@message
class Update:
    """``member`` is ``"alive"``, ``"suspect"``, ``"dead"`` (confirmed as failed), or has ``"left"`` the group."""

    member: str
    status: str
    incarnation: int


def swim_invariants() -> tuple[Invariant, ...]:
    """The invariants of the member lists; and the incarnation that a member sends of itself is on its disk."""

    def own(stored: Stored, message: Any, dst: str) -> bool:
        name = stored.node.name
        return all(u.incarnation <= stored("inc") for u in message.updates if u.member == name)

    return (
        SwimSafety(),
        promises(lambda kind: hasattr(kind, "updates"), keeps="inc", shown=own),
        remembered(
            lambda message: [(u.member, u.incarnation) for u in getattr(message, "updates", ())],
            holds=lambda node: {u.member: u.incarnation for u in getattr(node, "known", {}).values()},
        ),
    )


@dataclass
class SwimSafety(Invariant):
    """Only a member raises its incarnation; highest incarnations are remembered; dead members need a higher one.

    - No member sends an incarnation that its owner has not reached.
    - The incarnation that a member stores for another member is the highest that it has received.
    - In a member's list, a member that is dead or has left can only become alive, and only with a higher incarnation.
    """

    def __post_init__(self) -> None:
        self.reached: dict[str, int] = {}  # member -> its highest incarnation ever
        self.told: dict[
            tuple[str, str], int
        ] = {}  # (listener, member) -> highest incarnation that the listener received since its last restart
        self.touched: dict[
            str, dict[str, None]
        ] = {}  # listener -> the members in the message that it handles
        self.gone: dict[tuple[str, str], tuple[str, int]] = {}  # (listener, member) -> status and incarnation
        self.hosts: dict[str, Any] = {}

    def is_told_of(self, kind: type) -> bool:
        return hasattr(kind, "updates")

    def on_send(self, src: str, dst: str, message: Any) -> None:
        for update in message.updates:
            member, inc = update.member, update.incarnation
            if member not in self.hosts:
                continue  # it has not finished its first step
            if inc > self.reach(member):
                self.violated(
                    src,
                    f"it tells {dst} of {update}",
                    f"{member} has not gone beyond {self.reached[member]}",
                    invariant="only its owner raises an incarnation",
                )

    def reach(self, member: str) -> int:
        """The highest incarnation that a member has had so far, its present step included."""
        node = self.hosts[member].node
        self.reached[member] = max(self.reached.get(member, 0), node.inc if node is not None else 0)
        return self.reached[member]

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if not message.updates:
            return
        about = self.touched.setdefault(dst, {})
        for update in message.updates:
            pair = (dst, update.member)
            self.told[pair] = max(self.told.get(pair, 0), update.incarnation)
            about[update.member] = None

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart":  # lists are not on disk
            self.told = {pair: inc for pair, inc in self.told.items() if pair[0] != node}
            self.gone = {pair: how for pair, how in self.gone.items() if pair[0] != node}
        elif event in ("confirm", "leave"):
            self.touched.setdefault(node, {})[detail["peer"]] = None

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "inc"):
            return
        self.hosts[node.name] = node.host
        self.reach(node.name)
        for member in self.touched.pop(node.name, ()):
            if member != node.name:
                self.check(node, member)

    def check(self, node: Any, member: str) -> None:
        """Check the entry of a member in a node's list after the node received updates about it."""
        name, known = node.name, node.known[member]
        pair = (name, member)
        highest = self.told.get(pair, 0)
        if known.incarnation < highest:
            self.violated(
                name,
                f"it has been told of incarnation {highest} of {member}",
                f"it knows {known}",
                invariant="the highest incarnation is remembered",
            )
        before = self.gone.pop(pair, None)
        returned = before is not None and known.status not in GONE
        if before is not None and returned and (known.status != "alive" or known.incarnation <= before[1]):
            self.violated(
                name,
                f"{member} was {before[0]} in incarnation {before[1]}",
                f"now it knows {known}",
                invariant="the dead return only by a higher incarnation",
            )
        if known.status in GONE:
            self.gone[pair] = (known.status, known.incarnation)
