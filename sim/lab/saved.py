"""Saved results: frames as CSV files, and ``manifest.json`` beside them; `load` restores the result from both.

The manifest has the written form (`sim.written`) of what ran: scenarios, seeds, labels, digests, measures, verdicts,
versions. It also has the number of rows of each run in the frames, and the SHA-256 of every file and of itself. It is
written last, and atomically. `load` refuses a folder without a manifest, or with files that differ from the manifest.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.arguments import checked
from sim.lab.jobs import Failed, RunTask
from sim.lab.reproduce.record import environment
from sim.lab.run import Check, Run
from sim.lab.run_record import check_of, frame_of, record_of, run_of
from sim.lab.scenario import Scenario
from sim.lab.stages import stages_of, stages_tree
from sim.lab.store import FILE as STORE
from sim.lab.store import progress
from sim.written.texts import json_of, parse_json, reason_unwritten, unwritten
from sim.written.tree import from_dict, from_tree, to_dict, to_tree

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.compare import Comparison
    from sim.lab.sweep import Sweep

__all__ = ["load", "save_comparison", "save_run", "save_sweep", "versions_of"]

_FORM = 1
_FILE = "manifest.json"

PlainData = dict[str, Any]


# Saving


@checked
def save_run(run: Run, folder: Path | str) -> list[Path]:
    """Write a run into a folder; returns the paths."""
    return _save("run", folder, [run], [None], run.frames, {}, {})


@checked
def save_comparison(comparison: Comparison, folder: Path | str) -> list[Path]:
    """Write a comparison into a folder; returns the paths."""
    more = {
        "labels": list(comparison.scenarios),
        "systems": {label: _tree(system, "system") for label, system in comparison.systems.items()},
        "shared": list(comparison.shared),
        "failed": [_failed(failed) for failed in comparison.failed],
        "stages": stages_tree([comparison.stages] if comparison.stages else []),
    }
    extra = {"table": comparison.table(), "summaries": comparison.summaries}
    return _save("comparison", folder, comparison.runs, comparison.checks, _frames(comparison), extra, more)


@checked
def save_sweep(sweep: Sweep, folder: Path | str) -> list[Path]:
    """Write a sweep into a folder; returns the paths."""
    points = [_point(point) for point in sweep.points]
    extra = {"table": sweep.table(), "sweep": sweep.summaries}
    failed = [_failed(failed) for failed in sweep.failed]
    stages = stages_tree(sweep.stages)
    more = {"fields": list(sweep.fields), "points": points, "failed": failed, "stages": stages}
    return _save("sweep", folder, sweep.runs, sweep.checks, _frames(sweep), extra, more)


def _point(point: Mapping[str, Any]) -> PlainData:
    return {name: _tree(value, name.partition("__")[0]) for name, value in point.items()}


def _failed(failed: Failed) -> PlainData:
    return {
        "label": failed.label,
        "seed": failed.seed,
        "scenario": _tree(failed.scenario, ""),
        "reason": failed.reason,
        "point": _point(failed.point),
    }


def _frames(results: Comparison | Sweep) -> Mapping[str, pd.DataFrame]:
    """The frames of all runs together; none where a run does not have them and would have to run again."""
    if all(run.has_frames for run in results.runs):
        return results.frames
    return {"failures": results.failures} if len(results.failures) else {}


def _save(
    kind: str,
    folder: Path | str,
    runs: Sequence[Run],
    checks: Sequence[Check | None],
    frames: Mapping[str, pd.DataFrame],
    extra: Mapping[str, pd.DataFrame],
    more: PlainData,
) -> list[Path]:
    from sim.analysis.store import atomic, write_frames

    home = Path(folder)
    (home / _FILE).unlink(missing_ok=True)  # the old manifest does not describe the new files
    paths = write_frames({name: frame for name, frame in {**frames, **extra}.items() if len(frame)}, home)
    scenarios: dict[str, PlainData] = {}
    rows = [
        {**record_of(run, check), "scenario": _noted(run, scenarios)}
        for run, check in zip(runs, checks, strict=True)
    ]
    numbers = {key: number for number, key in enumerate(scenarios)}
    manifest = {
        "form": _FORM,
        "kind": kind,
        "versions": environment(),
        "scenarios": list(scenarios.values()),
        "runs": [{**row, "scenario": numbers[row["scenario"]]} for row in rows],
        **more,
        "files": {path.name: _digest(path) for path in paths if path.suffix == ".csv"},
    }
    with atomic(home / _FILE) as temporary:
        text = json_of({**manifest, "sha256": _own_digest(manifest)}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
    return [*paths, home / _FILE]


@checked
def versions_of(folder: Path) -> dict[str, str]:
    """The versions that saved a folder."""
    return dict(_manifest(folder)["versions"])


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return sha256(json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _tree(value: Any, field: str) -> Any:
    """The written form of a value; if it has none, the reason, so that the results can be saved anyway."""
    try:
        return to_dict(value) if isinstance(value, Scenario) else to_tree(value, field)
    except ValueError as error:
        return unwritten(error)


def _noted(run: Run, scenarios: dict[str, PlainData]) -> str:
    """The key of a run's scenario among those that are written."""
    tree = _tree(run.scenario, "")
    key = json.dumps(tree)
    scenarios.setdefault(key, tree)
    return key


# Loading


@checked
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
        lacking = (
            f"has no entry {error.args[0]!r}"
            if isinstance(error, KeyError)
            else f"has a wrong entry ({error})"
        )
        saved, here = manifest["versions"].get("quorumlab"), environment()["quorumlab"]
        raise ValueError(
            f"{home / _FILE} {lacking}: saved by quorumlab {saved}, read by {here}; run what it describes again"
        ) from error


def _manifest(home: Path) -> PlainData:
    file = home / _FILE
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        if (home / STORE).exists():
            far = "; ".join(map(str, progress(home)))
            raise ValueError(
                f"nothing to load in {str(home)!r} yet ({far}): go on with --resume (resume=True), "
                "or read the runs by sim.lab.store.results"
            ) from error
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
    saved, here = found["versions"]["quorumlab"], environment()["quorumlab"]
    if saved != here:
        warnings.warn(f"{home} was saved by version {saved}, and this is {here}", stacklevel=3)
    return found


def _loaded(home: Path, manifest: PlainData, allow: Collection[str]) -> Run | Comparison | Sweep:
    from sim.analysis.store import read_frame

    scenarios = [
        from_dict(
            _written(home, tree), Scenario, allow=allow, path=f"scenario {number}" if number else "scenario"
        )
        for number, tree in enumerate(manifest["scenarios"])
    ]
    rows = manifest["runs"]
    names = list(rows[0]["frames"]) if rows else []
    frames = {n: read_frame(home / f"{n}.csv") for n in names if f"{n}.csv" in manifest["files"]}
    begun = dict.fromkeys(names, 0)
    runs = []
    for row in rows:
        own = {}
        for name in names:
            count = row["frames"][name]["rows"]
            own[name] = frame_of(frames.get(name), begun[name], count, row["frames"][name]["columns"])
            begun[name] += count
        runs.append(_run(row, scenarios[row["scenario"]], own))
    if manifest["kind"] == "run":
        return runs[0]
    checks = [check_of(row["check"], run) for row, run in zip(rows, runs, strict=True)]
    if manifest["kind"] == "comparison":
        return _comparison(home, manifest, runs, checks, allow)
    return _sweep(home, manifest, runs, checks, allow)


def _written(home: Path, tree: Any) -> Any:
    why = reason_unwritten(tree)
    if why is not None:
        raise ValueError(f"{home}: what ran could not be written when it was saved: {why}")
    return tree


def _run(row: PlainData, scenario: Scenario, own: dict[str, pd.DataFrame]) -> Run:
    if own:
        return run_of(row, scenario, lambda: own)
    return run_of(row, scenario, RunTask(scenario, row["seed"]).again(row["digest"]), has_frames=False)


def _comparison(
    home: Path, manifest: PlainData, runs: list[Run], checks: list[Check | None], allow: Collection[str]
) -> Comparison:
    from sim.lab.compare import Comparison
    from sim.system import System

    failed = _read_failed(home, manifest, allow)
    scenarios = {label: _of(label, runs, failed) for label in manifest["labels"]}
    found = Comparison(scenarios, runs, checks, failed)
    found.systems = {
        label: from_dict(_written(home, tree), System, allow=allow, path=f"system {label!r}")
        for label, tree in manifest["systems"].items()
    }
    found.shared = tuple(manifest["shared"])
    found.stages = next(iter(stages_of(manifest["stages"])), None)
    return found


def _of(label: str, runs: Sequence[Run], failed: Sequence[Failed]) -> Scenario:
    scenarios = [*((run.label, run.scenario) for run in runs), *((one.label, one.scenario) for one in failed)]
    return next(scenario for name, scenario in scenarios if name == label)


def _sweep(
    home: Path, manifest: PlainData, runs: list[Run], checks: list[Check | None], allow: Collection[str]
) -> Sweep:
    from sim.lab.sweep import Sweep

    points = [_read_point(home, point, allow) for point in manifest["points"]]
    scenarios = [run.scenario for run in runs]
    failed = _read_failed(home, manifest, allow)
    found = Sweep(tuple(manifest["fields"]), points, scenarios, runs, checks, failed)
    found.stages = stages_of(manifest["stages"])
    return found


def _read_point(home: Path, point: PlainData, allow: Collection[str]) -> dict[str, Any]:
    return {
        name: from_tree(_written(home, tree), name.partition("__")[0], allow) for name, tree in point.items()
    }


def _read_failed(home: Path, manifest: PlainData, allow: Collection[str]) -> list[Failed]:
    return [
        Failed(
            row["label"],
            row["seed"],
            from_dict(_written(home, row["scenario"]), Scenario, allow=allow, path=f"failed {number}"),
            row["reason"],
            _read_point(home, row["point"], allow),
        )
        for number, row in enumerate(manifest["failed"])
    ]
