"""An application as the model by which its own history is judged."""

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
    """What a checker steps through: the application's snapshots, changed by its own `apply`.

    Keys are judged one by one where each of the ``operations`` (the frame) touches no key but its own.
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
    """The frame's ``value`` is the argument, but for reads, where it is what came back."""
    return None if operation.kind in application.reads else operation.value


def _told(application: Application, operation: HistoryOperation) -> tuple[Any, ...]:
    told = operation.value if operation.kind in application.reads else operation.result
    return (operation.status, told)


def _reply(application: Application, kind: str, result: Result) -> tuple[Any, ...]:
    return (result.status, result.value if kind in application.reads else result.result)
