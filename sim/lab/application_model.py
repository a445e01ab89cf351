"""An application as the model that a checker uses to judge its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.checks import Model
    from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["model_of"]


def model_of(application: Application, operations: pd.DataFrame) -> Model:
    """A model for the checkers: its states are snapshots of the application, its step is the application's `apply`.

    The history is judged key by key if each of the ``operations`` (the frame) touches exactly one key.
    """
    from sim.analysis.checks import Model
    from sim.analysis.checks.columns import freeze
    from sim.analysis.checks.models import ILLEGAL

    machine = application.fresh()

    def step(state: Any, operation: HistoryOperation) -> Any:
        machine.restore(state)
        result = machine.apply(_command(operation.kind, operation.key, _argument(application, operation)))
        if operation.known and freeze(_reply(application, operation.kind, result)) != _told(
            application, operation
        ):
            return ILLEGAL
        return machine.snapshot()

    touched = (
        application.touches(_command(kind, key, None if kind in application.reads else value))
        for kind, key, value in zip(operations["kind"], operations["key"], operations["value"], strict=True)
    )
    return Model(
        initial=machine.snapshot(),
        step=step,
        reads=application.reads,
        by_key=all(keys is not None and len(keys) == 1 for keys in touched),
        kinds=application.operations,
        name=application.label,
    )


def _command(kind: str, key: str, argument: Any) -> Command:
    return Command(0, 0, kind, key, argument)


def _argument(application: Application, operation: HistoryOperation) -> Any:
    """The argument of an operation: the frame's ``value``; None for reads, whose ``value`` is the result."""
    return None if operation.kind in application.reads else operation.value


def _told(application: Application, operation: HistoryOperation) -> tuple[Any, ...]:
    told = operation.value if operation.kind in application.reads else operation.result
    return (operation.status, told)


def _reply(application: Application, kind: str, result: Result) -> tuple[Any, ...]:
    return (result.status, result.value if kind in application.reads else result.result)
