"""What must hold after every event, whatever crashes, pauses or is lost. Each invariant has a mutant in tests/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim import Invariant, Node
from sim.invariants import promises
from sim.protocols.command import Command

from firstlog.messages import Held
from firstlog.node import FirstLogNode

__all__ = ["ChosenIsHeld", "OneOrder", "answers_are_on_disk"]


def answers_are_on_disk() -> Invariant:
    """A replica that says what it holds has it on disk when the message leaves."""
    return promises(
        Held, keeps=("log",), shown=lambda stored, message, dst: len(stored("log")) >= message.count
    )


@dataclass
class OneOrder(Invariant):
    """No two replicas ever apply different commands at the same place of the order."""

    title: ClassVar[str] = "one order"
    order: dict[int, tuple[str, Command]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        """Compare what a replica has just applied with what was applied there first."""
        if not isinstance(node, FirstLogNode):
            return
        seen = self.seen.get(node.name, 0)
        for place in range(min(seen, node.applied) + 1, node.applied + 1):
            command = node.log[place - 1]
            first, known = self.order.setdefault(place, (node.name, command))
            if known != command:
                self.violated(
                    (first, node.name),
                    f"{first} applied {known} at place {place}",
                    f"{node.name} applied {command} there",
                )
        self.seen[node.name] = node.applied


@dataclass
class ChosenIsHeld(Invariant):
    """What the primary takes for chosen, a quorum has said to hold.

    The ghost ``said`` keeps what each replica has said; its disk keeps it through crashes.
    """

    title: ClassVar[str] = "chosen is held by a quorum"
    hears = (Held,)
    is_quorum: Callable[[set[str]], bool] = field(kw_only=True)
    said: dict[str, int] = field(default_factory=dict)
    checked: int = 0

    def on_send(self, src: str, dst: str, message: Any) -> None:
        """A replica says how much it holds."""
        self.said[src] = max(self.said.get(src, 0), message.count)

    def on_step(self, node: Node) -> None:
        """Ask of each newly chosen command who holds it."""
        if not isinstance(node, FirstLogNode) or node.name != node.leader:
            return
        while self.checked < node.chosen:
            self.checked += 1
            holders = {name for name, count in self.said.items() if count >= self.checked}
            if not self.is_quorum(holders):
                self.violated(
                    node.name, f"{node.name} chose command {self.checked}", f"it is held by {sorted(holders)}"
                )
