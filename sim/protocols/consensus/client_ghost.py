"""The part of a ghost that judges replies: the clients' requests, and the results of the decided commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sim.protocols.application import Application
from sim.protocols.client import Reply
from sim.protocols.command import NOOP, Command, Result
from sim.protocols.sessions import Sessions
from sim.system import Invariant

__all__ = ["ClientGhost", "check_states", "commands_of"]

Identity = tuple[int, int]  # session, sequence


def commands_of(value: Any) -> tuple[Command, ...]:
    """The commands in a decided value: itself, or those of a batch."""
    batch: tuple[Command, ...] = getattr(value, "commands", None) or (value,)
    return batch


class ClientGhost:
    """Records each request that leaves a client, and applies each decided value in order.

    Attributes: ``folded``: the number of values applied. ``results`` and ``positions``: (session, sequence) of a
    command -> its result, and the number (from 1) of the value in which it took effect.
    """

    def __init__(self, application: Application) -> None:
        self.asked: dict[Identity, Command] = {}
        self.store = Sessions(application)
        self.folded = 0
        self.results: dict[Identity, Result] = {}
        self.positions: dict[Identity, int] = {}

    def ask(self, command: Command) -> None:
        """A client sends a command, perhaps again."""
        self.asked.setdefault((command.session, command.sequence), command)

    def invented(self, value: Any) -> Command | None:
        """A command in the value that no client has sent, and that is not a no-op; None if there is none."""
        for command in commands_of(value):
            if command != NOOP and self.asked.get((command.session, command.sequence)) != command:
                return command
        return None

    def fold(self, value: Any) -> None:
        """Apply the next decided value."""
        self.folded += 1
        for command in commands_of(value):
            result = self.store.apply(command)
            if result is not None:
                identity = (command.session, command.sequence)
                self.results[identity] = result
                self.positions.setdefault(identity, self.folded)

    def truth(self, reply: Reply) -> Result | None:
        """The result of the command of a reply when it took effect; None if it has not taken effect."""
        return self.results.get((reply.session, reply.sequence))

    def is_true(self, reply: Reply) -> bool:
        """Whether a reply has this result."""
        truth = self.truth(reply)
        return truth is not None and (truth.status, truth.value, truth.result) == (
            reply.status,
            reply.value,
            reply.result,
        )


def check_states(
    invariant: Invariant,
    replicas: Iterable[Any],
    application: Application,
    value: Callable[[int], Any],
    *,
    values: str,
    fold_of: str,
) -> None:
    """The state of each replica is the result of the values that it has applied: no more, no less, in their order.

    Parameters
    ----------
    invariant:
        It is broken, by the name "state is the fold of the ``fold_of``", where that is not so.
    replicas:
        Nodes with ``applied`` (the number of values applied) and ``store`` (`Sessions`).
    application:
        The replicated application, in its first state.
    value:
        The value with a number (0, 1, ...).
    values:
        What the values are called.
    """
    ghost = ClientGhost(application)
    for replica in sorted(replicas, key=lambda replica: int(replica.applied)):
        while ghost.folded < replica.applied:
            ghost.fold(value(ghost.folded))
        held, store = replica.store, ghost.store
        if (held.state, held.sessions) != (store.state, store.sessions):
            invariant.violated(
                replica.name,
                f"{ghost.folded} {values} make {store.state!r}",
                f"it holds {held.state!r}",
                invariant=f"state is the fold of the {fold_of}",
            )
