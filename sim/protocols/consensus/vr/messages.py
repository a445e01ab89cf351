"""The messages of Viewstamped Replication, named as in the paper; those of view changes and recoveries carry epochs."""

from __future__ import annotations

from sim.message import message
from sim.protocols.command import Command

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
"""The latest incarnation of each replica that the sender knows of."""


@message
class Prepare:
    """To the backups: put this command into the log as number ``op``. All up to number ``commit`` are committed."""

    view: int
    op: int
    command: Command
    commit: int


@message
class PrepareOk:
    """To the primary: the sender's log contains command number ``op`` and all earlier ones."""

    view: int
    op: int


@message
class Commit:
    """From an idle primary: it is alive, and all commands up to number ``commit`` are committed."""

    view: int
    commit: int


@message
class StartViewChange:
    """The sender's timeout for the primary expired, or it received a later view; it moves to this view."""

    view: int
    epochs: Epochs


@message
class DoViewChange:
    """The sender's log, for the primary of a new view. ``last_normal``: the latest view in which it was normal."""

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
    """The sender has lost its state. ``nonce`` distinguishes this recovery from earlier ones."""

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
    """A replica that is behind requests the operations of this view after number ``op``."""

    view: int
    op: int


@message
class NewState:
    """The operations after number ``after``."""

    view: int
    after: int
    log: tuple[Command, ...]
    commit: int
