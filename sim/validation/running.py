"""Simulates published results on many cores and judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from sim.lab.bars import RunsBar
from sim.lab.version import version
from sim.lab.work import Failure, outcomes
from sim.validation.form import Case, Estimate, Figures, Perturbation, Published
from sim.validation.judging import Judged, judge, verdict_of
from sim.validation.kept import KeptSamples

__all__ = ["Validated", "simulate", "validate"]

_BATCHES = 8
"""Into at most how many tasks the samples of a case are divided."""


@dataclass(frozen=True)
class Validated:
    """A result with its verdicts. ``seconds``: CPU time of the simulations; ``whole``: all cases, not the fast ones."""

    published: Published
    judged: Sequence[Judged]
    seconds: float
    whole: bool = True

    @property
    def verdict(self) -> str:
        """The worst verdict of its figures."""
        return verdict_of([each.verdict for each in self.judged])

    @property
    def worst(self) -> Judged:
        """The figure that differs most from what judges it, measured in its tolerance."""
        return max(self.judged, key=lambda line: abs(line.worst[1]) / max(line.worst[2], 1e-9))


def simulate(
    published: Published, case: Case, seed: int, perturbation: Perturbation | None = None
) -> Figures:
    """The figures of one sample of a case, with what a perturbation changes."""
    settings = published.settings_of(case)
    found = published.measure(seed, **(settings if perturbation is None else perturbation.of(settings)))
    if isinstance(found, Mapping):
        return found
    if len(case.published) != 1:
        raise ValueError(
            f"{published.name}, {case.name}: the measurement gives one number for the figures "
            f"{', '.join(case.published)}; return a mapping"
        )
    return dict.fromkeys(case.published, found if isinstance(found, Estimate) else float(found))


def _batch(
    published: Published, case: Case, seeds: Sequence[int], perturbation: Perturbation | None
) -> tuple[list[Figures], float]:
    """Samples, and the CPU seconds that they took."""
    begun = process_time()
    samples = [simulate(published, case, seed, perturbation) for seed in seeds]
    return samples, process_time() - begun


Task = tuple[Published, Case, Sequence[int], "Perturbation | None"]


def _tasks(results: Sequence[Published], fast: bool, perturbations: Mapping[str, Perturbation]) -> list[Task]:
    tasks: list[Task] = []
    for published in results:
        perturbation = perturbations.get(published.name)
        for case in cases_of(published, fast, perturbation):
            size = -(-case.samples // _BATCHES)
            tasks += [
                (published, case, range(first, min(first + size, case.samples)), perturbation)
                for first in range(0, case.samples, size)
            ]
    return tasks


def cases_of(published: Published, fast: bool, perturbation: Perturbation | None = None) -> list[Case]:
    """The cases that are simulated; under a perturbation those that it is for."""
    return [
        case
        for case in published.cases
        if (case.fast or not fast)
        and (perturbation is None or any(perturbation.concerns(case.name, f) for f in case.published))
    ]


def validate(
    results: Sequence[Published],
    *,
    fast: bool = False,
    perturbations: Mapping[str, Perturbation] | None = None,
    workers: int | None = None,
    progress: str | None = None,
    out: Path | None = None,
    resume: bool = False,
) -> list[Validated]:
    """Simulate results and judge each figure; results without a case that is wanted are left out.

    ``fast``: only the cases that are declared fast. ``perturbations``: name of a result -> the change under which it is
    simulated (only the cases that it is for). ``workers``: processes; None: one a core. ``progress``: title of a bar.
    ``out``: a folder that keeps samples until all are there; ``resume``: go on with those.

    Raises ValueError for a measurement that failed, with the result and the case, and for two results of one name.
    """
    names = [result.name for result in results]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two results are named {name!r}")
    tasks = _tasks(results, fast, perturbations or {})
    kept = KeptSamples(out, resume, version())
    keys = [_key(*task) for task in tasks]
    found = {number: known for number, key in enumerate(keys) if (known := kept.get(key)) is not None}
    missing = [number for number in range(len(tasks)) if number not in found]
    with RunsBar(progress, len(tasks), len(found)) as bar:
        coming = outcomes(_batch, [tasks[number] for number in missing], workers=workers)
        with closing(coming):  # type: ignore[type-var]
            for place, outcome in coming:
                number = missing[place]
                _refuse_failed(outcome, tasks[number])
                found[number] = outcome
                kept.keep(keys[number], *outcome)
                bar.advance()
    judged = _judged(results, tasks, found)
    kept.done()
    return judged


def _key(published: Published, case: Case, seeds: Sequence[int], perturbation: Perturbation | None) -> str:
    """What tells a batch from all others; the version of the code is beside it."""
    what = "" if perturbation is None else perturbation.what
    settings = sorted(published.settings_of(case).items())
    return f"{published.name}|{case.name}|{settings!r}|{seeds[0]}-{seeds[-1]}|{what}"


def _refuse_failed(outcome: object, task: Task) -> None:
    if isinstance(outcome, Failure):
        error = ValueError(f"{task[0].name}, {task[1].name}: {outcome.reason}")
        raise error from outcome.error


def _judged(
    results: Sequence[Published], tasks: Sequence[Task], found: Mapping[int, tuple[list[Figures], float]]
) -> list[Validated]:
    judged = []
    for published in results:
        by_case: dict[str, list[Figures]] = {}
        seconds = 0.0
        for number, (owner, case, _, _) in enumerate(tasks):
            if owner is published:
                samples, took = found[number]
                by_case.setdefault(case.name, []).extend(samples)
                seconds += took
        if by_case:
            lines = [
                line for name, got in by_case.items() for line in judge(published, published.case(name), got)
            ]
            judged.append(Validated(published, lines, seconds, len(by_case) == len(published.cases)))
    return judged
