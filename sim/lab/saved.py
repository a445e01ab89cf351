"""Saved results: frames as CSV files, and ``manifest.json`` beside them; `load` restores the result from both.

The manifest has the written form (`sim.written`) of what ran: scenarios, seeds, labels, digests, measures, verdicts,
versions. It also has the number of rows of each run in the frames, and the SHA-256 of every file and of itself. It is
written last, and atomically. `load` refuses a folder without a manifest, or with files that differ from the manifest.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import warnings
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.lab.run import Check, Run
from sim.lab.scenario import Scenario
from sim.system import LivenessViolation, SafetyViolation, Violation
from sim.written.texts import json_of, parse_json
from sim.written.tree import from_dict, from_tree, to_dict, to_tree

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.compare import Comparison
    from sim.lab.sweep import Sweep

__all__ = ["load", "save_comparison", "save_run", "save_sweep"]

_FORM = 1
_FILE = "manifest.json"
_VIOLATIONS = {kind.__name__: kind for kind in (Violation, SafetyViolation, LivenessViolation)}

Tree = dict[str, Any]


# Saving


def save_run(run: Run, folder: Path | str) -> list[Path]:
    """Write a run into a folder; returns the paths."""
    return _save("run", folder, [run], [None], run.frames, {}, {})


def save_comparison(comparison: Comparison, folder: Path | str) -> list[Path]:
    """Write a comparison into a folder; returns the paths."""
    told = {
        "labels": list(comparison.scenarios),
        "systems": {label: _tree(system, "system") for label, system in comparison.systems.items()},
        "shared": list(comparison.shared),
    }
    extra = {"table": comparison.table(), "summaries": comparison.summaries}
    return _save("comparison", folder, comparison.runs, comparison.checks, comparison.frames, extra, told)


def save_sweep(sweep: Sweep, folder: Path | str) -> list[Path]:
    """Write a sweep into a folder; returns the paths."""
    points = [
        {name: _tree(value, name.partition("__")[0]) for name, value in point.items()}
        for point in sweep.points
    ]
    extra = {"table": sweep.table(), "sweep": sweep.summaries}
    told = {"fields": list(sweep.fields), "points": points}
    return _save("sweep", folder, sweep.runs, sweep.checks, sweep.frames, extra, told)


def _save(
    kind: str,
    folder: Path | str,
    runs: Sequence[Run],
    checks: Sequence[Check | None],
    frames: Mapping[str, pd.DataFrame],
    extra: Mapping[str, pd.DataFrame],
    told: Tree,
) -> list[Path]:
    from sim.analysis.store import atomic, write_frames

    home = Path(folder)
    (home / _FILE).unlink(missing_ok=True)  # the old manifest does not describe the new files
    paths = write_frames({name: frame for name, frame in {**frames, **extra}.items() if len(frame)}, home)
    scenarios: dict[str, Tree] = {}
    rows = [_told(run, check, scenarios) for run, check in zip(runs, checks, strict=True)]
    numbers = {key: number for number, key in enumerate(scenarios)}
    manifest = {
        "form": _FORM,
        "kind": kind,
        "versions": _versions(),
        "scenarios": list(scenarios.values()),
        "runs": [{**row, "scenario": numbers[row["scenario"]]} for row in rows],
        **told,
        "files": {path.name: _digest(path) for path in paths if path.suffix == ".csv"},
    }
    with atomic(home / _FILE) as temporary:
        text = json_of({**manifest, "sha256": _own_digest(manifest)}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
    return [*paths, home / _FILE]


def _versions() -> dict[str, str]:
    import numpy as np
    import pandas as pd

    return {
        "quorumlab": str(import_module("sim").__version__),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return sha256(json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _tree(value: Any, field: str) -> Any:
    """The written form of a value; if it has none, the reason, so that the results can be saved anyway."""
    try:
        return to_dict(value) if isinstance(value, Scenario) else to_tree(value, field)
    except ValueError as error:
        return {"class": "unwritten", "reason": str(error)}


def _told(run: Run, check: Check | None, scenarios: dict[str, Tree]) -> Tree:
    tree = _tree(run.scenario, "")
    key = json.dumps(tree)
    scenarios.setdefault(key, tree)
    return {
        "label": run.label,
        "seed": run.seed,
        "scenario": key,
        "digest": run.digest(),
        "ended": run.ended,
        "wall_seconds": run.wall_seconds,
        "events_processed": run.events_processed,
        "acknowledged_lost": run.acknowledged_lost,
        "violation": _broken(run.violation),
        "convergence": _verdict(run.convergence),
        "check": None if check is None else _checked(check),
        "measures": to_tree(run.summary().to_dict()),
        "frames": {
            name: {"rows": len(frame), "columns": {str(c): str(t) for c, t in frame.dtypes.items()}}
            for name, frame in run.frames.items()
        },
    }


def _broken(violation: Violation | None) -> Tree | None:
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


def _verdict(verdict: Any) -> Tree | None:
    if verdict is None:
        return None
    try:
        return to_dict(verdict)
    except (
        ValueError
    ):  # an operation of the counterexample has no written form; the verdict still has its reason in words
        return to_dict(dataclasses.replace(verdict, counterexample=()))


def _checked(check: Check) -> Tree:
    return {
        "consistency": check.consistency,
        "verdict": _verdict(check.verdict),
        "violated": check.violation is not None,
        "invariants_checked": check.invariants_checked,
    }


# Loading


def load(folder: Path | str, *, allow: Collection[str] = ()) -> Run | Comparison | Sweep:
    """Load a result that `Run.save`, `Comparison.save` or `Sweep.save` saved in a folder; nothing is run.

    Frames, measures, verdicts, tables and charts are those of the original. The values of the replicas at the end of a
    run (``final``) are not saved.

    Parameters
    ----------
    allow:
        Names of modules outside ``sim`` whose classes (systems, faults ...) the folder may name; they are imported.

    Raises ValueError for a folder without a manifest, for files that have changed since they were saved, for another
    form of manifest, and, with its path, for a value that cannot be read. Warns if another version saved it.
    """
    home = Path(folder)
    manifest = _manifest(home)
    try:
        return _loaded(home, manifest, tuple(allow) if not isinstance(allow, str) else allow)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{home / _FILE} says what no manifest says: {error!r}") from error


def _manifest(home: Path) -> Tree:
    file = home / _FILE
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"nothing to load in {str(home)!r}: no {_FILE} can be read ({error.strerror})"
        ) from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not isinstance(found, dict) or found.get("form") != _FORM:
        form = found.get("form") if isinstance(found, dict) else found
        raise ValueError(f"{file} has the form {form!r}; this version reads the form {_FORM}")
    if found.pop("sha256", None) != _own_digest(found):
        raise ValueError(f"{file} is not what was saved: it was changed, or written in part")
    for name, digest in found["files"].items():
        path = home / name
        if Path(name).name != name or not path.is_file() or _digest(path) != digest:
            raise ValueError(f"{path} is not the file that was saved: it is missing, or was changed")
    saved, here = found["versions"]["quorumlab"], _versions()["quorumlab"]
    if saved != here:
        warnings.warn(f"{home} was saved by version {saved}, and this is {here}", stacklevel=3)
    return found


def _loaded(home: Path, manifest: Tree, allow: Collection[str]) -> Run | Comparison | Sweep:
    from sim.analysis.store import read_frame

    scenarios = [
        from_dict(
            _written(home, tree), Scenario, allow=allow, path=f"scenario {number}" if number else "scenario"
        )
        for number, tree in enumerate(manifest["scenarios"])
    ]
    told = manifest["runs"]
    names = list(told[0]["frames"])
    frames = {n: read_frame(home / f"{n}.csv") for n in names if f"{n}.csv" in manifest["files"]}
    begun = dict.fromkeys(names, 0)
    runs = []
    for row in told:
        own = {}
        for name in names:
            count = row["frames"][name]["rows"]
            own[name] = _frame(frames.get(name), begun[name], count, row["frames"][name]["columns"])
            begun[name] += count
        runs.append(_run(row, scenarios[row["scenario"]], own, allow))
    if manifest["kind"] == "run":
        return runs[0]
    checks = [_check(row["check"], run) for row, run in zip(told, runs, strict=True)]
    if manifest["kind"] == "comparison":
        return _comparison(home, manifest, runs, checks, allow)
    return _sweep(home, manifest, runs, checks, allow)


def _written(home: Path, tree: Any) -> Any:
    if isinstance(tree, dict) and tree.get("class") == "unwritten":
        raise ValueError(f"{home}: what ran could not be written when it was saved: {tree['reason']}")
    return tree


def _frame(together: pd.DataFrame | None, start: int, count: int, columns: Mapping[str, str]) -> pd.DataFrame:
    """The ``count`` rows of one run from row ``start``, with the original columns and types."""
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


def _run(row: Tree, scenario: Scenario, frames: dict[str, pd.DataFrame], allow: Collection[str]) -> Run:
    return Run(
        scenario,
        row["seed"],
        label=row["label"],
        violation=_violation(row["violation"], row["seed"], scenario),
        convergence=_read_verdict(row["convergence"]),
        ended=row["ended"],
        wall_seconds=row["wall_seconds"],
        events_processed=row["events_processed"],
        acknowledged_lost=row["acknowledged_lost"],
        frames=frames,
        digest=row["digest"],
    )


def _violation(row: Tree | None, seed: int, scenario: Scenario) -> Violation | None:
    if row is None:
        return None
    found = _VIOLATIONS[row["kind"]](row["invariant"], row["time"], tuple(row["nodes"]), tuple(row["facts"]))
    found.seed, found.scenario = seed, scenario
    return found


def _read_verdict(tree: Tree | None) -> Any:
    from sim.analysis.checks import Verdict

    return None if tree is None else from_dict(tree, Verdict)


def _check(row: Tree | None, run: Run) -> Check | None:
    if row is None:
        return None
    violation = run.violation if row["violated"] else None
    return Check(row["consistency"], _read_verdict(row["verdict"]), violation, row["invariants_checked"])


def _comparison(
    home: Path, manifest: Tree, runs: list[Run], checks: list[Check | None], allow: Collection[str]
) -> Comparison:
    from sim.lab.compare import Comparison
    from sim.system import System

    found = Comparison({label: _of(label, runs) for label in manifest["labels"]}, runs, checks)
    found.systems = {
        label: from_dict(_written(home, tree), System, allow=allow, path=f"system {label!r}")
        for label, tree in manifest["systems"].items()
    }
    found.shared = tuple(manifest["shared"])
    return found


def _of(label: str, runs: Sequence[Run]) -> Scenario:
    return next(run.scenario for run in runs if run.label == label)


def _sweep(
    home: Path, manifest: Tree, runs: list[Run], checks: list[Check | None], allow: Collection[str]
) -> Sweep:
    from sim.lab.sweep import Sweep

    points = [
        {
            name: from_tree(_written(home, tree), name.partition("__")[0], allow)
            for name, tree in point.items()
        }
        for point in manifest["points"]
    ]
    return Sweep(tuple(manifest["fields"]), points, [run.scenario for run in runs], runs, checks)
