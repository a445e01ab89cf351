"""`check`: one history, one consistency model, one verdict; and implications between models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from sim.analysis.checks.columns import FAIL, OK, History
from sim.analysis.checks.dispatch import Judge, overlapping
from sim.analysis.checks.models import Model, choose
from sim.analysis.checks.sessions import SESSION_GUARANTEES
from sim.analysis.checks.verdict import Verdict

__all__ = [
    "ALIASES",
    "BUDGET",
    "CONSISTENCY",
    "IMPLIES",
    "canonical",
    "check",
    "linearizable",
    "strongest",
    "verdicts",
    "with_evidence",
]

CONSISTENCY: Final = (
    "linearizable",
    "sequential",
    "CM",
    "CCv",
    "pram",
    "CC",
    "regular",
    "writes-follow-reads",
    "monotonic-writes",
    "monotonic-reads",
    "read-your-writes",
    "eventual",
)
"""The consistency models by name, in the order in which `strongest` tries them (docs/consistency.md)."""

IMPLIES: Final[dict[str, frozenset[str]]] = {
    "linearizable": frozenset(CONSISTENCY) - {"linearizable", "eventual"},
    "sequential": frozenset({"CM", "CCv", "CC", "pram", *SESSION_GUARANTEES}),
    "CM": frozenset({"CC", "pram", *SESSION_GUARANTEES}),
    "CCv": frozenset({"CC", *SESSION_GUARANTEES}),
    "pram": frozenset({"read-your-writes", "monotonic-reads", "monotonic-writes"}),
    "CC": frozenset({"read-your-writes"}),
}
"""Model -> the weaker models that every history which satisfies it satisfies too."""

ALIASES: Final[dict[str, str]] = {
    "linearizability": "linearizable",
    "atomic": "linearizable",
    "causal": "CC",
    "causal-convergence": "CCv",
    "causal+": "CCv",
    "causal-memory": "CM",
    "fifo": "pram",
}
"""Other names. ``causal`` is CC, which every definition of causal consistency contains: what it rejects, all reject."""

BUDGET = 10_000_000
"""Steps of a search, before the verdict is unknown."""


def canonical(consistency: str) -> str:
    """The name of a model as in `CONSISTENCY`, whatever its case. Raises ValueError for an unknown one."""
    names = {name.lower(): name for name in CONSISTENCY} | ALIASES
    wanted = consistency.lower().replace("_", "-")
    if wanted not in names:
        known = ", ".join((*CONSISTENCY, *ALIASES))
        raise ValueError(f"{consistency!r} is no consistency model; there are {known}")
    return names[wanted]


def check(
    operations: pd.DataFrame,
    consistency: str = "linearizable",
    *,
    model: str | Model = "auto",
    initial: Any = None,
    failed_cas: Literal["drop", "mismatch"] = "drop",
    versions: Mapping[Any, Sequence[Any]] | None = None,
    budget: int = BUDGET,
    witness: bool = False,
    settle: float = 0.0,
    progress: bool = False,
) -> Verdict:
    """Judge a history by a consistency model.

    Parameters
    ----------
    operations: an operations frame (docs/consistency.md says which columns and kinds count, and how).
    consistency: a name of `CONSISTENCY` or `ALIASES`.
    model: ``"register"``, ``"cas-register"``, ``"key-value"``, ``"counter"``, ``"set"``, ``"queue"``, a `Model`, or
        ``"auto"``: the narrowest that knows the kinds and whose reads look like these. Only linearizable and sequential
        apply to all of them; the weaker models are about reads and writes, and unknown for others.
    initial: what every key starts with; None: the model's own (null, 0, empty). For key-value also key -> value.
    failed_cas: whether a failed cas only did not happen (``"drop"``), or asserts a ``"mismatch"`` at some moment.
    versions: key -> all its written values in the order in which they took effect (the commit log), where known:
        then sequential consistency is judged in linear time, and session guarantees by that order.
    budget: steps of search, before the verdict is unknown; the same on every machine.
    witness: return the order of a witness in ``verdict.order`` (linearizable: key by key; sequential).
    settle: for eventual: how long after the last write a read must begin to count, in seconds.
    progress: show bars on standard error where it takes long.

    A history in which no operation succeeded is unknown: there is no evidence. Raises ValueError, with the row (or the
    line of a file) and the value, for a history that makes no sense.
    """
    name = canonical(consistency)
    if failed_cas not in ("drop", "mismatch"):
        raise ValueError(f"failed_cas is 'drop' or 'mismatch', not {failed_cas!r}")
    history = History.of(operations)
    chosen = _choose(history, model)
    mismatch = failed_cas == "mismatch"
    judge = Judge(history, chosen, initial, mismatch, budget, witness, progress, versions, settle)
    found = judge.verdict(name)
    left = history.kind_is(*chosen.left_out) & (history.status == OK)
    if left.any():
        kinds = " and ".join(kind for kind in history.kinds if kind in chosen.left_out)
        count = int(np.count_nonzero(left))
        reason = f"{found.reason} Not judged: {count} operations that read more than one key ({kinds})."
        found = replace(found, reason=reason, left_out=count)
    answered = (history.status == OK) & ~left
    if mismatch:
        answered |= history.kind_is("cas") & (history.status == FAIL)
    return with_evidence(found, len(history), int(np.count_nonzero(answered)))


def with_evidence(verdict: Verdict, operations: int, succeeded: int) -> Verdict:
    """The verdict; unknown instead of valid if none of the ``operations`` succeeded, because there is no evidence.

    A system that answers no operation neither violates nor demonstrates a consistency model.
    """
    if not verdict.ok or succeeded:
        return verdict
    what = f"none of {operations} operations succeeded" if operations else "there is no operation"
    return replace(verdict, valid=None, reason=f"No evidence: {what}.")


def linearizable(operations: pd.DataFrame, **options: Any) -> Verdict:
    """Judge linearizability; ``options`` as for `check`."""
    return check(operations, "linearizable", **options)


def verdicts(
    operations: pd.DataFrame, names: Collection[str] = CONSISTENCY, **options: Any
) -> dict[str, Verdict]:
    """The verdicts of several models, the strongest first; models implied by a valid one are not checked again."""
    found: dict[str, Verdict] = {}
    wanted = {canonical(name) for name in names}
    for name in (n for n in CONSISTENCY if n in wanted):
        stronger = next((s for s, v in found.items() if v.ok and name in IMPLIES.get(s, ())), None)
        if stronger is None or _unordered(operations):
            found[name] = check(operations, name, **options)
        else:
            found[name] = replace(
                found[stronger], consistency=name, reason=f"It is {stronger}, which implies it."
            )
    return found


def strongest(operations: pd.DataFrame, **options: Any) -> str:
    """The name of the first model of `CONSISTENCY` that was shown to hold; ``"none"`` if there is none.

    ``options`` as for `check`. Models of which the verdict is unknown are passed over.
    """
    for name in CONSISTENCY:
        try:
            if check(operations, name, **options).ok:
                return name
        except ValueError:
            if (
                name == "linearizable"
            ):  # a history that makes no sense; others may lack columns that one model needs
                check(operations, "sequential", **options)
    return "none"


def _unordered(operations: pd.DataFrame) -> bool:
    """Whether sessions are missing or overlap, so that linearizability does not imply their order."""
    if "process" not in operations.columns:
        return True
    history = History.of(operations)
    return history.timed and overlapping(history, touching=True)


def _choose(history: History, model: str | Model) -> Model:
    """The data model; ValueError names the first row whose operation it (or, for auto, any of them) does not have."""
    left_out = model.left_out if isinstance(model, Model) else {"scan"}
    kinds = [kind for kind in history.kinds if kind not in left_out]
    for count in range(len(kinds) + 1 if model == "auto" else 0):
        try:
            choose(model, kinds[:count])
        except ValueError as error:
            row = int(np.argmax(history.kind == history.kinds.index(kinds[count - 1])))
            raise ValueError(f"{history.label(row)}: {error}") from None
    seen = _seen(history) if model == "auto" else {}
    try:
        chosen = choose(model, kinds, seen)
    except ValueError as error:
        if "number" not in seen:
            raise
        raise ValueError(f"{history.label(seen['number'])}: {error}") from None
    for kind in kinds:
        if chosen.kinds is not None and kind not in chosen.kinds:
            row = int(np.argmax(history.kind == history.kinds.index(kind)))
            raise ValueError(f"{history.label(row)}: a {chosen.name} has no operation {kind!r}")
    if model == "auto" and chosen.name == "counter":
        for row in np.flatnonzero(history.kind_is("add")).tolist():
            if _looks(history.values[history.value[row]]) not in {"number", "null"}:
                told = history.operation(row).what()
                raise ValueError(
                    f"{history.label(row)}: reads saw numbers, so this is a counter, but it has {told}"
                )
    return chosen


def _seen(history: History) -> dict[str, int]:
    """The kinds of values that reads returned ("number", "list", "null", "other") -> first row of each."""
    found: dict[str, int] = {}
    rows = np.flatnonzero(history.kind_is("read", "get") & (history.status == OK))
    codes, first = np.unique(history.value[rows], return_index=True)
    for code, at in zip(codes.tolist(), first.tolist(), strict=True):
        looks = _looks(history.values[code])
        found[looks] = min(found.get(looks, len(history)), int(rows[at]))
    return found


def _looks(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (tuple, frozenset)):
        return "list"
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else "other"
