"""Runs again what a file states, and compares the results."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

from sim.lab.jobs import RunTask
from sim.lab.reproduce.answers import Reproduced, judged
from sim.lab.reproduce.pictures import PICTURES, record_in
from sim.lab.reproduce.record import FigureRecord, GroupRecord, environment, record_of, stated
from sim.lab.scenario import Scenario
from sim.lab.work import Failure, outcomes
from sim.written.texts import reason_unwritten

__all__ = ["read_record", "reproduce"]


def reproduce(
    file: Path | str,
    *,
    allow: Collection[str] = (),
    workers: int | None = None,
    progress: str | None = "reproducing",
) -> list[Reproduced]:
    """Run what a file states once more: an answer for each figure.

    Parameters
    ----------
    file:
        A picture (PNG, SVG, PDF) that a chart of a run, a comparison or a sweep was saved as; a folder that was saved
        (`Run.save`, `Comparison.save`, `Sweep.save`); or a ``paper.toml`` (see `sim.lab.reproduce.paper`).
    allow:
        Names of modules outside ``sim`` that the file may name; they are imported.
    workers, progress:
        See `sim.lab.work.Work`.

    Raises ValueError for a file that states nothing, or nothing that can be run. Nothing in a file is evaluated.
    """
    place = Path(file)
    if place.suffix == ".toml":
        from sim.lab.reproduce.paper import read_paper

        return read_paper(place).reproduce(workers=workers, progress=progress)
    old = _stated_in(place, allow)
    return [judged(str(file), old, _record_again(old, allow=allow, workers=workers, progress=progress))]


def _stated_in(place: Path, allow: Collection[str]) -> FigureRecord:
    if place.is_dir():
        return _folder(place, allow)
    if place.suffix.lower() not in PICTURES:
        raise ValueError(
            f"{str(place)!r} is none of a picture ({', '.join(PICTURES)}), a saved folder, and a paper.toml"
        )
    return read_record(place)


def read_record(picture: Path) -> FigureRecord:
    """The record in a picture. Raises ValueError, with the file, if it has none."""
    text = record_in(picture)
    try:
        return FigureRecord.from_json(text)
    except ValueError as error:
        raise ValueError(f"{picture}: {error}") from error


def _folder(place: Path, allow: Collection[str]) -> FigureRecord:
    from sim.lab.run import Run
    from sim.lab.saved import load, versions_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another version saved it is part of the answer
        found = load(place, allow=allow)
    record = record_of([found] if isinstance(found, Run) else found.runs)
    return FigureRecord(versions_of(place), record.groups)


def _record_again(
    old: FigureRecord, *, allow: Collection[str], workers: int | None, progress: str | None
) -> FigureRecord:
    """Run the scenarios of a record again; returns the results. Raises ValueError for a scenario that is refused."""
    from sim.lab.bars import RunsBar

    scenarios = [Scenario.from_dict(_written(group), allow=allow) for group in old.groups]
    tasks = [
        (RunTask(scenario, seed, judge=False, storm=group.storm),)
        for scenario, group in zip(scenarios, old.groups, strict=True)
        for seed in group.seeds
    ]
    done: dict[int, tuple[str, dict[str, float]] | Failure] = {}
    with RunsBar(progress, len(tasks)) as bar:
        for number, outcome in outcomes(_facts, tasks, workers=workers):
            done[number] = outcome
            bar.advance(failed=isinstance(outcome, Failure))
    results = iter([done[number] for number in range(len(tasks))])
    groups = []
    for group in old.groups:
        each = [next(results) for _ in group.seeds]
        digests = tuple(f"failed: {one.reason}" if isinstance(one, Failure) else one[0] for one in each)
        rows = [{} if isinstance(one, Failure) else one[1] for one in each]
        groups.append(
            GroupRecord(group.label, group.scenario, group.seeds, digests, stated(rows), group.storm)
        )
    return FigureRecord(environment(), tuple(groups))


def _written(group: GroupRecord) -> dict[str, object]:
    why = reason_unwritten(group.scenario)
    if why is not None:
        raise ValueError(f"{group.label} had no written form when it was saved: {why}")
    return dict(group.scenario)


def _facts(task: RunTask) -> tuple[str, dict[str, float]]:
    run, _ = task.run()
    return run.digest(), run.measures()
