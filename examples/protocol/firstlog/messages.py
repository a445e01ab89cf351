"""The messages: a primary appends to the logs of the other replicas, and they say how much they hold."""

from __future__ import annotations

from sim.node import message
from sim.protocols.command import Command

__all__ = ["Append", "Held"]


@message
class Append:
    """The primary's log from an index on.

    Attributes
    ----------
    start:
        How many commands stand before the first of ``commands``.
    commands:
        All commands from there to the end of the primary's log.
    chosen:
        How many commands, from the first, the primary knows to be chosen.
    """

    start: int
    commands: tuple[Command, ...]
    chosen: int


@message
class Held:
    """The sender has the first ``count`` commands of the log on its disk."""

    count: int
