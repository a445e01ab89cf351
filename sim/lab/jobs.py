"""Jobs: runs to make, on many cores, with or without a store that keeps each run as soon as it has ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.display import Displayed
from sim.lab.bars import RunsBar
from sim.lab.light import lighten
from sim.lab.run import Check, Run
from sim.lab.scenario import Scenario
from sim.lab.work import (
    ExecutorLost,
    Failure,
    Listed,
    TaskSource,
    Work,
    WorkerTraceback,
    outcomes,
    refuse_work,
)

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.store import ResultStore, Row

__all__ = ["Failed", "RunGrid", "RunResult", "RunTask", "failures_frame", "perform", "refuse_all_failed"]


@dataclass(frozen=True)
class RunTask:
    """One run: a scenario under a seed.

    ``judge``: check its history against what the system claims. ``storm``: demand progress afterwards, as
    `sim.lab.run_storm` does.
    """

    scenario: Scenario
    seed: int
    judge: bool = True
    storm: bool = False

    @property
    def how(self) -> dict[str, bool]:
        """How the run is made, as a part of the key under which a store keeps it."""
        return {"judge": self.judge, "storm": self.storm}

    def run(self) -> tuple[Run, Check | None]:
        """Run it."""
        if self.storm:
            from sim.lab.storm import run_storm

            run = run_storm(self.scenario, self.seed)
        else:
            run = self.scenario.run(self.seed)
            if self.scenario.own_measures:
                run.measures()  # a measure that cannot be worked out costs this run, and no other one
        return run, run.check() if self.judge else None

    def again(self, digest: str) -> Callable[[], dict[str, pd.DataFrame]]:
        """A function that gives the frames of the run by repeating it.

        The function raises ValueError if the repeated run has another digest: the code has changed.
        """

        def frames() -> dict[str, pd.DataFrame]:
            run = replace(self, judge=False).run()[0]
            if run.digest() != digest:
                raise ValueError(
                    f"{run.label}, seed {self.seed}: its frames were not kept, and running it again gives another run "
                    f"(digest {run.digest()}, not {digest}): the code has changed since"
                )
            return run.frames

        return frames


@dataclass(frozen=True)
class Failed(Displayed):
    """A run that failed: its ``label`` and ``seed``, why (``reason``), and its ``point`` in a sweep."""

    label: str
    seed: int
    scenario: Scenario
    reason: str
    point: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = "".join(f", {name.replace('__', '.')}={value}" for name, value in self.point.items())
        return f"FAILED: {self.label}{where}, seed {self.seed}: {self.reason}"


@dataclass(frozen=True)
class RunGrid:
    """The plan of a study: its ``kind`` (sweep, comparison, storms), and the label and the point of each job.

    ``fields``: the varied fields. ``points``: their values, as written in frames.
    """

    kind: str
    labels: Sequence[str]
    fields: Sequence[str] = ()
    points: Sequence[Mapping[str, Any]] = ()

    def noted(self, number: int) -> str:
        """The point of a job as JSON."""
        return json.dumps(dict(self.points[number]) if self.points else {}, default=str, ensure_ascii=False)


RunResult = tuple[Run, Check | None] | Failure


def perform(jobs: Sequence[RunTask], grid: RunGrid, work: Work, stage: int = 0) -> list[RunResult]:
    """Make the runs of jobs. Returns the result of each, in their order: the run and its check, or a failure.

    ``stage``: 0 for the first jobs of a study; those of later stages go into the store that the first has begun.

    Raises ValueError for what `refuse_work` refuses; KeyboardInterrupt, saying what is kept, on Ctrl-C.
    """
    refuse_work(**work)
    out, frames = work.get("out"), work.get("frames")
    if out is None:
        return _in_memory(jobs, work, _keeps_frames(grid, frames))
    return _in_store(jobs, grid, work, Path(out), stage, _keeps_frames(grid, frames))


def _keeps_frames(grid: RunGrid, frames: bool | None) -> bool:
    """Whether frames are kept; by default those of comparisons, because their charts need them."""
    return grid.kind == "comparison" if frames is None else frames


def _in_memory(jobs: Sequence[RunTask], work: Work, frames: bool) -> list[RunResult]:
    found: dict[int, RunResult] = {}
    tasks = [(job, frames) for job in jobs]
    try:
        with RunsBar(work.get("progress"), len(jobs)) as bar:
            for number, outcome in _outcomes(_run, tasks, Listed(range(len(jobs))), work):
                found[number] = outcome if frames else _remembering(outcome, jobs[number])
                bar.advance(failed=isinstance(outcome, Failure))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(found)} of {len(jobs)} runs finished, and are lost: --out (out=) keeps what has finished"
        ) from None
    return [found[number] for number in range(len(jobs))]


def _run(job: RunTask, frames: bool) -> tuple[Run, Check | None]:
    run, check = job.run()
    return run if frames else lighten(run), check


def _remembering(outcome: RunResult, job: RunTask) -> RunResult:
    if not isinstance(outcome, Failure):
        outcome[0].remember(job.scenario, job.again(outcome[0].digest()))
    return outcome


def _outcomes(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], source: TaskSource, work: Work
) -> Iterator[tuple[int, Any]]:
    names = ("workers", "executor", "start_method", "run_timeout", "memory_limit")
    chosen: dict[str, Any] = {name: work[name] for name in names if name in work}  # type: ignore[literal-required]
    with closing(outcomes(function, arguments, source, **chosen)) as coming:  # type: ignore[type-var]
        yield from coming


def _in_store(
    jobs: Sequence[RunTask], grid: RunGrid, work: Work, out: Path, stage: int, frames: bool
) -> list[RunResult]:
    from sim.lab.store import ResultStore, RunKeys, RunsLeft, failed_row

    resume = work.get("resume", False)
    keys = RunKeys(resume)
    runs = [(keys.of(job), job.seed) for job in jobs]
    with ResultStore(out, "resume" if resume or stage > 0 else "new") as store:
        points = [(*run, grid.labels[number], grid.noted(number)) for number, run in enumerate(runs)]
        name = _digest(grid, points)
        store.plan(grid.kind, grid.fields, keys.told, points, name)
        errors: dict[int, Failure] = {}
        tasks = [(job, frames, keys.code) for job in jobs]
        missing = [number for number, run in enumerate(runs) if not store.has(*run, frames)]
        with (
            _saying(store, name, len(runs), out),
            RunsBar(work.get("progress"), len(jobs), len(jobs) - len(missing)) as bar,
        ):
            while missing:
                pending = RunsLeft(store, runs, missing, frames, lambda _: bar.advance())
                for number, outcome in _outcomes(_row, tasks, pending, work):
                    if isinstance(outcome, Failure):
                        errors[number] = outcome
                    row = failed_row(outcome.reason) if isinstance(outcome, Failure) else outcome
                    store.keep(*runs[number], row)
                    store.release(*runs[number])
                    bar.advance(failed=isinstance(outcome, Failure))
                # Another process that resumes deletes the rows of failed runs, to repeat them: ours, too.
                missing = [n for n, run in enumerate(runs) if n not in errors and not store.has(*run, frames)]
        return [
            _result(store, job, run, errors.get(i), out)
            for i, (job, run) in enumerate(zip(jobs, runs, strict=True))
        ]


def _digest(grid: RunGrid, points: Sequence[tuple[str, int, str, str]]) -> str:
    return sha256(json.dumps([grid.kind, list(grid.fields), points], ensure_ascii=False).encode()).hexdigest()


def _row(job: RunTask, frames: bool, code: Mapping[str, str]) -> Row:
    from sim.lab.store import row_of
    from sim.lab.version import refuse_other_code

    refuse_other_code(code)
    return row_of(*job.run(), frames)


@contextmanager
def _saying(store: ResultStore, grid: str, runs: int, out: Path) -> Iterator[None]:
    """On Ctrl-C, and when an executor is lost: say how many runs are stored."""
    try:
        yield
    except (KeyboardInterrupt, ExecutorLost) as error:
        said = f"{store.count(grid)} of {runs} runs finished and are kept in {out}; go on with --resume (resume=True)"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(said) from None
        raise ExecutorLost(f"{error}: {said}") from error


def _result(
    store: ResultStore, job: RunTask, run: tuple[str, int], failure: Failure | None, out: Path
) -> RunResult:
    from sim.lab.store import run_of_row

    row = store.row(*run)
    if row is None:
        return Failure("its row is gone from the store")
    if row.status == "failed":
        return failure or Failure(str(row.error))
    return run_of_row(row, job.scenario, _reader(job, run, row, out), row.kept)


def _reader(
    job: RunTask, run: tuple[str, int], row: Row, out: Path
) -> Callable[[Mapping[str, Any]], dict[str, pd.DataFrame]]:
    """A function that gives the frames of a run: from the store or, if they were not kept, by repeating the run."""

    def read(columns: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
        from sim.lab.store import ResultStore, StoreError, read_frames

        if not row.kept:
            return job.again(str(row.digest))()
        with ResultStore(out, "read") as store:
            packed = store.frames(*run)
        if not row.holds(packed):
            raise StoreError(
                f"{store.path} is damaged: the frames of seed {job.seed} are not what was written"
            )
        return read_frames(packed, columns)

    return read


def refuse_all_failed(results: Sequence[RunResult]) -> None:
    """If every run failed, there is nothing to show: raise the error of the first one, or RuntimeError."""
    failures = [result for result in results if isinstance(result, Failure)]
    if len(failures) < len(results) or not failures:
        return
    first = failures[0]
    if first.error is None:
        raise RuntimeError(f"all of {len(results)} runs failed; the first: {first.reason}")
    if first.error.__traceback__ is None and first.trace:
        raise first.error from WorkerTraceback(first.trace)
    raise first.error


def failures_frame(failures: Sequence[Failed]) -> pd.DataFrame:
    """One row for each run that failed: the fields varied, ``run``, ``seed``, ``error``."""
    import pandas as pd

    rows = [
        {**failed.point, "run": failed.label, "seed": failed.seed, "error": failed.reason}
        for failed in failures
    ]
    return pd.DataFrame(rows)
