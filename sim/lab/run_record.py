"""The description of a run in a file: plain data in the written form, and the run that it describes.

Manifests of saved results (`sim.lab.saved`) and rows of stores (`sim.lab.store`) hold the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sim.lab.run import Check, Run
from sim.system import LivenessViolation, SafetyViolation, Violation
from sim.written.tree import from_dict, from_tree, to_dict, to_tree

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.failovers import Failover
    from sim.analysis.sketch import LatencySketch
    from sim.lab.scenario import Scenario

__all__ = ["check_of", "frame_of", "record_of", "run_of"]

_VIOLATIONS = {kind.__name__: kind for kind in (Violation, SafetyViolation, LivenessViolation)}

PlainData = dict[str, Any]


def record_of(run: Run, check: Check | None) -> PlainData:
    """All that is told of a run but its scenario: label, seed, digest, cost, verdicts, measures, columns of frames."""
    return {
        "label": run.label,
        "seed": run.seed,
        "storm": run.storm,
        "digest": run.digest(),
        "ended": run.ended,
        "wall_seconds": run.wall_seconds,
        "events_processed": run.events_processed,
        "acknowledged_lost": run.acknowledged_lost,
        "violation": _broken(run.violation),
        "convergence": _verdict(run.convergence),
        "check": None if check is None else _checked(check),
        "measures": to_tree(run.measures()),
        **({"notes": run.notes} if run.notes else {}),
        "failovers": [list(row) for row in to_tree(tuple(map(tuple, run.each_failover())))],
        "sketch": {name: getattr(run.sketch(), name).tolist() for name in _SKETCH},
        "frames": {
            name: {"rows": len(frame), "columns": {str(c): str(t) for c, t in frame.dtypes.items()}}
            for name, frame in (run.frames.items() if run.has_frames else ())
        },
    }


_SKETCH = {"keys": "int32", "answered": "float32", "unanswered": "float32"}
"""The arrays of a sketch of latencies, and the types of their numbers."""


def _sketch(record: Mapping[str, Any]) -> LatencySketch:
    import numpy as np

    from sim.analysis.sketch import LatencySketch

    return LatencySketch(**{name: np.array(record[name], dtype=kind) for name, kind in _SKETCH.items()})


def _failovers(told: Sequence[Any]) -> list[Failover]:
    from sim.analysis.failovers import Failover

    return [Failover(*from_tree(row)) for row in told]


def _broken(violation: Violation | None) -> PlainData | None:
    if violation is None:
        return None
    kind = type(violation).__name__
    return {
        "kind": kind if kind in _VIOLATIONS else "Violation",
        "invariant": violation.invariant,
        "time": violation.time,
        "nodes": list(violation.nodes),
        "facts": list(violation.facts),
    }


def _verdict(verdict: Any) -> PlainData | None:
    if verdict is None:
        return None
    try:
        return to_dict(verdict)
    except ValueError:  # an operation of the counterexample has no written form; the reason stays, as text
        return to_dict(dataclasses.replace(verdict, counterexample=()))


def _checked(check: Check) -> PlainData:
    return {
        "consistency": check.consistency,
        "verdict": _verdict(check.verdict),
        "violated": check.violation is not None,
        "invariants_checked": check.invariants_checked,
    }


def run_of(
    row: Mapping[str, Any],
    scenario: Scenario,
    frames: Callable[[], dict[str, pd.DataFrame]],
    has_frames: bool = True,
) -> Run:
    """The run that `told` describes. ``frames`` gives its frames when they are first asked for.

    ``has_frames``: whether they are there; else they are made by running it again.
    """
    run = Run(
        scenario,
        row["seed"],
        label=row["label"],
        violation=_violation(row["violation"], row["seed"], scenario),
        convergence=_read_verdict(row["convergence"]),
        ended=row["ended"],
        wall_seconds=row["wall_seconds"],
        events_processed=row["events_processed"],
        acknowledged_lost=row["acknowledged_lost"],
        digest=row["digest"],
        measures=from_tree(row["measures"]),
        sketch=_sketch(row["sketch"]),
        failovers=_failovers(row["failovers"]),
        reader=frames,
        has_frames=has_frames,
    )
    run.storm = row["storm"]
    run.notes = row.get("notes", {})
    return run


def _violation(row: PlainData | None, seed: int, scenario: Scenario) -> Violation | None:
    if row is None:
        return None
    found = _VIOLATIONS[row["kind"]](row["invariant"], row["time"], tuple(row["nodes"]), tuple(row["facts"]))
    found.seed, found.scenario = seed, scenario
    return found


def _read_verdict(tree: PlainData | None) -> Any:
    from sim.analysis.checks import Verdict

    return None if tree is None else from_dict(tree, Verdict)


def check_of(row: PlainData | None, run: Run) -> Check | None:
    """The check that `told` describes; None for a run that was not checked."""
    if row is None:
        return None
    violation = run.violation if row["violated"] else None
    return Check(row["consistency"], _read_verdict(row["verdict"]), violation, row["invariants_checked"])


def frame_of(
    together: pd.DataFrame | None, start: int, count: int, columns: Mapping[str, str]
) -> pd.DataFrame:
    """The rows of one run, with the columns and types that they had."""
    import pandas as pd

    if together is None or not count:
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns.items()})
    part = together.iloc[start : start + count].reset_index(drop=True)
    found: dict[str, Any] = {}
    for name, dtype in columns.items():
        column: Any = part[name]
        if dtype == "object":
            column = column.astype(object)
            found[name] = column.where(column.notna(), None)
        else:
            found[name] = column.astype(dtype)
    return pd.DataFrame(found)
