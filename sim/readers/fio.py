"""The output of `fio --output-format=json`: how long the syncs of a disk take."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

from sim.readers.note import Note, counted
from sim.readers.text import parse_json, read_text

__all__ = ["Syncs", "read_fio"]


@dataclass(frozen=True, slots=True)
class Syncs:
    """Durations of syncs: level (0 to 1) -> seconds, with the shortest at 0 and the longest at 1."""

    percentiles: tuple[tuple[float, float], ...]
    note: Note


def read_fio(path: str | PathLike[str], job: str | None = None) -> Syncs:
    """The syncs of one job of fio's output in JSON (fio 3: nanoseconds). ``job``: its name, if there are several.

    Raises ValueError with the file and the place in it; JSON that is broken, with line and column.
    """
    tree = parse_json(path, read_text(path))
    jobs = tree.get("jobs") if isinstance(tree, dict) and "fio version" in tree else None
    if not isinstance(jobs, list) or not all(isinstance(one, dict) for one in jobs):
        raise ValueError(
            f'{path}: the output of fio --output-format=json is needed, with "fio version" and "jobs"'
        )
    found = [(i, one) for i, one in enumerate(jobs) if _count(one) and job in (None, one.get("jobname"))]
    if len(found) != 1:
        names = ", ".join(repr(one.get("jobname")) for one in jobs if _count(one)) or "none"
        wanted = "one job with syncs (fio --fdatasync=1)" if job is None else f"a job {job!r} with syncs"
        raise ValueError(
            f"{path}: {wanted} is needed; jobs with syncs: {names}. job= names one (--disk FILE:JOB)"
        )
    ((number, one),) = found
    where = f"{path}, jobs[{number}].sync.lat_ns"
    latency = one["sync"].get("lat_ns")
    told = latency.get("percentile") if isinstance(latency, dict) else None
    if not isinstance(told, dict) or not told:
        raise ValueError(f"{where}: percentiles are needed (fio 3 and --percentile_list), not {told!r}")
    table = {
        _level(where, name): _seconds(f"{where}.percentile.{name}", value) for name, value in told.items()
    }
    table[0.0] = _seconds(f"{where}.min", latency.get("min"))
    table[1.0] = _seconds(f"{where}.max", latency.get("max"))
    took = (
        counted(_count(one), "sync") + f" of job {one.get('jobname')!r}",
        f"{len(told)} percentiles, min and max",
    )
    left = (f"{len(jobs) - 1} other jobs",) if len(jobs) > 1 else ()
    note = Note(Path(path).name, 'JSON of fio, by its "fio version"', took, (*left, "reads and writes"))
    return Syncs(tuple(sorted(table.items())), note)


def _count(job: dict[str, Any]) -> int:
    sync = job.get("sync")
    count = sync.get("total_ios", 0) if isinstance(sync, dict) else 0
    return count if isinstance(count, int) else 0


def _level(where: str, name: str) -> float:
    try:
        level = float(name) / 100.0
    except ValueError:
        level = -1.0
    if not 0.0 <= level <= 1.0:
        raise ValueError(f"{where}.percentile: a level from 0 to 100 is needed, not {name!r}")
    return level


def _seconds(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or value < 0:
        raise ValueError(f"{where}: nanoseconds >= 0 are needed, not {value!r}")
    return 1e-9 * value
