"""Queues, first in, first out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

if TYPE_CHECKING:
    from sim.node import RandomSource

__all__ = ["Queue"]


class Queue(Application):
    """Named queues: ``enqueue`` adds the argument at the end; ``dequeue`` removes and returns the first, or null."""

    operations: ClassVar[frozenset[str]] = frozenset({"enqueue", "dequeue"})
    several_keys: ClassVar[frozenset[str]] = frozenset()
    judged_as: ClassVar[str | None] = "queue"

    def __init__(self) -> None:
        self.items: dict[str, tuple[Any, ...]] = {}

    def apply(self, command: Command) -> Result:
        items = self.items.get(command.key, ())
        if command.kind == "enqueue":
            self.items[command.key] = (*items, command.value)
            return Result("ok", command.value)
        self.items[command.key] = items[1:]
        return Result("ok", items[0] if items else None)

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any]:
        """One of two queues, and one of a thousand items."""
        return f"q{random.below(2)}", None if kind == "dequeue" else random.below(1000)

    def snapshot(self) -> tuple[Any, ...]:
        return tuple(sorted((name, items) for name, items in self.items.items() if items))

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        self.items = dict(snapshot)
