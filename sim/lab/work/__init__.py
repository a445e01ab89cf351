"""Many tasks on many cores: worker processes of this machine, or an executor of the user.

Tasks and results are sent by cloudpickle, so classes defined in a notebook or a script work, by fork and by spawn. If a
task raises, hangs, uses too much memory, kills its process or returns an object that cannot be sent, only this task
fails: see `Failure`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import Any, TypedDict

from sim.lab.work.crew import crew_outcomes
from sim.lab.work.outcomes import ExecutorLost, Failure, WorkerTraceback, attempt
from sim.lab.work.source import PATIENCE, Listed, TaskSource
from sim.lab.work.worker import limits_memory
from sim.written.names import did_you_mean

__all__ = [
    "ExecutorLost",
    "Failure",
    "Listed",
    "TaskSource",
    "Work",
    "WorkerTraceback",
    "default_workers",
    "outcomes",
    "refuse_work",
]


class Work(TypedDict, total=False):
    """How runs are made, and where their results are kept: keywords of `compare`, `sweep` and `run_storms`.

    ``workers``: processes; None: one for each core. One, asked for or for the only core: in this process.
    ``executor``: any `concurrent.futures.Executor` instead (such as Dask's ``Client.get_executor()``).
    ``start_method``: ``"fork"``, ``"spawn"``, ``"forkserver"``; None: the platform's default.
    ``progress``: title of a progress bar; None: no bar.
    ``run_timeout``: real seconds after which a run is given up. ``memory_limit``: megabytes that a run may use beyond
    the memory that its process has at its start. With either, runs are made in worker processes, even with one worker.
    ``out``: folder of the store that keeps each result as soon as its run ends (see `sim.lab.store`); None: none.
    ``resume``: continue with the runs of that store. ``frames``: keep the frames of each run, there or in memory; None:
    those of comparisons only. Without them a run keeps measures, verdict, digest and a sketch of its latencies, and is
    repeated when its frames are used.
    """

    workers: int | None
    executor: Executor | None
    start_method: str | None
    progress: str | None
    run_timeout: float | None
    memory_limit: float | None
    out: Path | str | None
    resume: bool
    frames: bool | None


def default_workers() -> int:
    """One worker for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_work(
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    start_method: str | None = None,
    run_timeout: float | None = None,
    memory_limit: float | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    frames: bool | None = None,
    **others: Any,
) -> None:
    """Raise ValueError for settings of `Work` that cannot work together, TypeError for keywords that are none."""
    for name in others:
        if name not in Work.__annotations__:
            hint = did_you_mean(name, Work.__annotations__)
            raise TypeError(
                f"there is no keyword {name!r}{hint}; there are {', '.join(Work.__annotations__)}"
            )
    if out is not None and not isinstance(out, str | os.PathLike):
        raise ValueError(f"out must be a folder, not {out!r}")
    for name, flag in (("resume", resume), ("frames", frames)):
        if flag is not None and not isinstance(flag, bool):
            raise ValueError(f"{name} must be True or False, not {flag!r}")
    if resume and out is None:
        raise ValueError("resume=True needs out=: the folder in which results are kept")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers must be at least 1, not {workers!r}")
    for name, value in (("run_timeout", run_timeout), ("memory_limit", memory_limit)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            unit = "seconds" if name == "run_timeout" else "megabytes"
            raise ValueError(f"{name} must be positive {unit}, not {value!r}")
        if executor is not None:
            raise ValueError(f"{name}={value!r} is for processes of this machine: an executor has its own")
    if memory_limit is not None and not limits_memory():
        raise ValueError(f"memory_limit={memory_limit!r}: this system does not limit memory; Linux does")
    for name, given in (("workers", workers), ("start_method", start_method)):
        if executor is not None and given is not None:
            raise ValueError(f"{name}={given!r} is for processes of this machine: an executor has its own")
    if start_method is not None and start_method not in get_all_start_methods():
        known = ", ".join(get_all_start_methods())
        raise ValueError(f"start_method must be one of {known}, not {start_method!r}")
    if executor is not None and not isinstance(executor, Executor):
        raise ValueError(f"executor must be a concurrent.futures.Executor, not {executor!r}")


def outcomes(
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    source: TaskSource | None = None,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    start_method: str | None = None,
    run_timeout: float | None = None,
    memory_limit: float | None = None,
) -> Iterator[tuple[int, Any]]:
    """The number and the outcome (a result or a `Failure`) of each ``function(*arguments[number])``, as they end.

    ``source``: which numbers, in which order; None: all. See `Work` for the rest.

    Raises ValueError for what `refuse_work` refuses. Closing the iterator ends the running tasks.
    """
    refuse_work(
        workers=workers,
        executor=executor,
        start_method=start_method,
        run_timeout=run_timeout,
        memory_limit=memory_limit,
    )
    chosen = Listed(range(len(arguments))) if source is None else source
    limited = run_timeout is not None or memory_limit is not None
    if executor is not None:
        return _outside(executor, function, arguments, chosen)
    wanted = workers or default_workers()
    if wanted == 1 and not limited:
        return _here(function, arguments, chosen)
    return crew_outcomes(
        function,
        arguments,
        chosen,
        workers=min(wanted, max(1, len(arguments))),
        start_method=start_method,
        run_timeout=run_timeout,
        memory_limit=memory_limit,
    )


def _outside(
    executor: Executor,
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    source: TaskSource,
) -> Iterator[tuple[int, Any]]:
    from sim.lab.work.cluster import watch_of
    from sim.lab.work.outside import executor_outcomes

    watch = watch_of(executor)
    if watch is None:
        return executor_outcomes(executor, function, arguments, source)
    watch.refuse_other_versions()
    return executor_outcomes(executor, function, arguments, source, slots=watch.slots, lost=watch.lost)


def _here(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], source: TaskSource
) -> Iterator[tuple[int, Any]]:
    """In this process, one after another."""
    import time

    while source.left:
        task = source.take()
        if task is None:
            time.sleep(PATIENCE)
        else:
            yield task, attempt(function, arguments[task])
