"""The application of a system, and the model of it that a checker uses to judge its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.protocols.application import Application
from sim.protocols.command import Command
from sim.system import System

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.checks import Model
    from sim.analysis.checks.verdict import HistoryOperation, Verdict

__all__ = ["LONGEST", "LOOKS", "application_of", "judge_by", "model_of"]

LONGEST = 1_000_000
"""Steps of a search by an application of one's own: some seconds. A longer one ends, and its verdict is unknown."""

LOOKS = frozenset({"dequeue"})
"""The kinds that are no reads, and of which ``value`` in a history is what came back, as of reads."""


def application_of(system: System) -> Application | None:
    """The application that a system replicates; None if it has no attribute ``application``."""
    found: Application | None = getattr(system, "application", None)
    return found


def judge_by(
    application: Application, operations: pd.DataFrame, claim: str, steps: int | None = None
) -> Verdict:
    """The verdict on a history: by the fast data model that the application names, else by the application itself.

    ``steps``: of the search, before the verdict is unknown; None: as many as `sim.analysis.checks.check` takes, or
    `LONGEST` where the application itself is asked.
    """
    from sim.analysis.checks import check
    from sim.analysis.checks.judge import BUDGET

    named = vars(type(application)).get("judged_as")
    if named is not None:
        return check(operations, claim, model=named, budget=steps or BUDGET)
    return check(
        operations, claim, model=model_of(application, operations), budget=min(LONGEST, steps or LONGEST)
    )


def model_of(application: Application, operations: pd.DataFrame) -> Model:
    """The model for a checker: its states are the application's snapshots, changed by its own `apply`.

    Keys are judged one by one where each of the ``operations`` (the frame) touches no key but its own.
    """
    from sim.analysis.checks import Model
    from sim.analysis.checks.columns import freeze
    from sim.analysis.checks.models import ILLEGAL

    machine = application.fresh()
    looks = application.reads | LOOKS

    def command(kind: str, key: str, value: Any) -> Command:
        """The frame's ``value`` is the argument, or what came back."""
        return Command(0, 0, kind, key, None if kind in looks else value)

    def step(state: Any, operation: HistoryOperation) -> Any:
        machine.restore(state)
        result = machine.apply(command(operation.kind, operation.key, operation.value))
        if operation.known:
            shown = operation.value if operation.kind in looks else operation.result
            reply = result.value if operation.kind in looks else result.result
            if result.status != operation.status or freeze(reply) != shown:
                return ILLEGAL
        return machine.snapshot()

    touched = (
        application.touches(command(kind, key, value))
        for kind, key, value in zip(operations["kind"], operations["key"], operations["value"], strict=True)
        if kind not in application.not_judged
    )
    return Model(
        initial=machine.snapshot(),
        step=step,
        reads=application.reads,
        by_key=all(keys is not None and len(keys) == 1 for keys in touched),
        kinds=application.operations,
        asserts=application.may_fail - application.reads,
        left_out=application.not_judged,
        name=type(application).__name__,
    )
