"""What clients asked for, and what the decided commands make of it: the part of a ghost that judges replies."""

from __future__ import annotations

from typing import Any

from sim.protocols.application import Application
from sim.protocols.client import Reply
from sim.protocols.kv import NOOP, Command, Result
from sim.protocols.sessions import Sessions

__all__ = ["ClientGhost", "commands_of"]

Identity = tuple[int, int]  # session, sequence


def commands_of(value: Any) -> tuple[Command, ...]:
    """The commands in a decided value: itself, or those of a batch."""
    batch: tuple[Command, ...] = getattr(value, "commands", None) or (value,)
    return batch


class ClientGhost:
    """Told of each request that leaves a client, and of each decided value in its order.

    Attributes: ``folded``, how many values have been folded; ``results`` and ``positions``, of each command by its
    session and number: what it returns, and in which value (from 1 on) it took effect.
    """

    def __init__(self, application: Application) -> None:
        self.asked: dict[Identity, Command] = {}
        self.store = Sessions(application)
        self.folded = 0
        self.results: dict[Identity, Result] = {}
        self.positions: dict[Identity, int] = {}

    def ask(self, command: Command) -> None:
        """A client asks for a command, perhaps again."""
        self.asked.setdefault((command.session, command.sequence), command)

    def invented(self, value: Any) -> Command | None:
        """A command of the value that no client has asked for, and that is no no-op; None when there is none."""
        for command in commands_of(value):
            if command != NOOP and self.asked.get((command.session, command.sequence)) != command:
                return command
        return None

    def fold(self, value: Any) -> None:
        """The next value is decided."""
        self.folded += 1
        for command in commands_of(value):
            result = self.store.apply(command)
            if result is not None:
                identity = (command.session, command.sequence)
                self.results[identity] = result
                self.positions.setdefault(identity, self.folded)

    def truth(self, reply: Reply) -> Result | None:
        """What the command of a reply returned when it took effect; None when it has not."""
        return self.results.get((reply.session, reply.sequence))

    def is_true(self, reply: Reply) -> bool:
        """Whether a reply says just that."""
        truth = self.truth(reply)
        return truth is not None and (truth.status, truth.value, truth.result) == (
            reply.status,
            reply.value,
            reply.result,
        )
