"""The messages of Viewstamped Replication, named as in the paper; those of view changes and recoveries carry epochs."""

from __future__ import annotations

from sim.message import message
from sim.protocols.kv import Command

__all__ = [
    "Commit",
    "DoViewChange",
    "Epochs",
    "GetState",
    "NewState",
    "Prepare",
    "PrepareOk",
    "Recovery",
    "RecoveryResponse",
    "StartView",
    "StartViewChange",
]

Epochs = tuple[int, ...]
"""Of each replica, the latest life that the sender knows of."""


@message
class Prepare:
    """To the backups: put this command into the log as number ``op``; all up to ``commit`` is committed."""

    view: int
    op: int
    command: Command
    commit: int


@message
class PrepareOk:
    """To the primary: this command and all earlier ones are in my log."""

    view: int
    op: int


@message
class Commit:
    """From an idle primary: it is alive, and all up to ``commit`` is committed."""

    view: int
    commit: int


@message
class StartViewChange:
    """I have not heard from the primary, and move to this view."""

    view: int
    epochs: Epochs


@message
class DoViewChange:
    """To the primary of the new view: what I know. ``last_normal`` is the latest view in which I was normal."""

    view: int
    log: tuple[Command, ...]
    last_normal: int
    commit: int
    epochs: Epochs


@message
class StartView:
    """From the new primary: the view begins with this log."""

    view: int
    log: tuple[Command, ...]
    commit: int
    epochs: Epochs


@message
class Recovery:
    """I have lost my state; ``nonce`` tells this recovery from earlier ones."""

    nonce: int
    epochs: Epochs


@message
class RecoveryResponse:
    """To a recovering replica; only the primary sends its log."""

    view: int
    nonce: int
    log: tuple[Command, ...] | None
    commit: int
    epochs: Epochs


@message
class GetState:
    """I am behind: what comes after ``op`` in this view?"""

    view: int
    op: int


@message
class NewState:
    """What comes after ``after``."""

    view: int
    after: int
    log: tuple[Command, ...]
    commit: int
