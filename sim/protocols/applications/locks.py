"""A lock service with fencing tokens: each grant of a lock has a higher number than all earlier grants of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

if TYPE_CHECKING:
    from sim.node import RandomSource

__all__ = ["LockService"]


class LockService(Application):
    """``acquire`` gives a free lock to a holder (the argument); its result is the token. ``release`` frees the lock.

    Only the holder can release a lock; locks do not expire. ``holder`` reads ``(holder, token)`` of a lock, or null.
    """

    operations: ClassVar[frozenset[str]] = frozenset({"acquire", "release", "holder"})
    reads: ClassVar[frozenset[str]] = frozenset({"holder"})
    may_fail: ClassVar[frozenset[str]] = frozenset({"acquire", "release"})
    several_keys: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        self.held: dict[str, tuple[Any, int]] = {}  # lock -> holder, token
        self.tokens: dict[str, int] = {}  # lock -> the last token

    def apply(self, command: Command) -> Result:
        lock, holder = command.key, command.value
        if command.kind == "holder":
            return Result("ok", self.held.get(lock))
        if command.kind == "acquire":
            if lock in self.held:
                return Result("fail", holder, f"{self.held[lock][0]} holds it")
            token = self.tokens[lock] = self.tokens.get(lock, 0) + 1
            self.held[lock] = (holder, token)
            return Result("ok", holder, token)
        if self.held.get(lock, (None, 0))[0] != holder:
            return Result("fail", holder, "it does not hold it")
        del self.held[lock]
        return Result("ok", holder)

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any]:
        """One of two locks, and one of three holders."""
        return f"lock{random.below(2)}", None if kind == "holder" else f"h{random.below(3)}"

    def snapshot(self) -> tuple[Any, ...]:
        return tuple(sorted(self.held.items())), tuple(sorted(self.tokens.items()))

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        held, tokens = snapshot
        self.held, self.tokens = dict(held), dict(tokens)
