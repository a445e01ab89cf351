"""Many runs on many cores: a process pool with a progress bar, or an executor of your own.

Tasks and results are sent by cloudpickle, so classes defined in a notebook or a script work, with fork and with spawn.
A pool that breaks (a worker was killed) is rebuilt, and its unfinished tasks run again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cloudpickle

from sim.lab.bars import RunsBar

__all__ = ["default_workers", "run_all"]

T = TypeVar("T")

_ATTEMPTS = 3  # number of pools that are tried when pools break


def default_workers() -> int:
    """One worker for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _call(task: bytes) -> bytes:
    """In the worker: run a task and return its pickled result; an exception goes to the parent process."""
    function, arguments = cloudpickle.loads(task)
    result: bytes = cloudpickle.dumps(function(*arguments))
    return result


def run_all(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    start_method: str | None = None,
    progress: str | None = None,
) -> list[T]:
    """``[function(*a) for a in arguments]``, in parallel, in that order.

    Parameters
    ----------
    workers:
        Processes; None: one for each core; 1: in this process.
    executor:
        Any `concurrent.futures.Executor` instead (such as Dask's ``Client.get_executor()``).
    start_method:
        ``"fork"``, ``"spawn"``, ``"forkserver"``; None: the platform's default.
    progress:
        Title of a progress bar (tqdm); None: no bar.

    Raises ValueError when ``workers`` is below 1, and whatever a task raises.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers!r}")
    count = min(workers or default_workers(), max(1, len(arguments)))
    with RunsBar(progress, len(arguments)) as advance:
        if executor is not None:
            return _through(executor, function, arguments, advance)
        if count == 1:
            return [_and(function(*a), advance) for a in arguments]
        return _through_pools(function, arguments, count, start_method, advance)


def _and(result: T, advance: Callable[[], None]) -> T:
    advance()
    return result


def _through(
    executor: Executor,
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    advance: Callable[[], None],
) -> list[T]:
    futures = {executor.submit(_call, cloudpickle.dumps((function, a))): i for i, a in enumerate(arguments)}
    results: list[Any] = [None] * len(arguments)
    for future in _completed(futures):
        results[futures[future]] = cloudpickle.loads(future.result())
        advance()
    return results


def _completed(futures: dict[Future[bytes], int]) -> Iterator[Future[bytes]]:
    return as_completed(futures)


def _leave_interrupts_to_the_parent() -> None:
    """In the worker: ignore Ctrl-C, which reaches all processes of a terminal; the parent process handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_at_once(pool: ProcessPoolExecutor) -> None:
    """Kill the workers instead of waiting for their runs, which may take minutes and are no longer needed."""
    for worker in list((pool._processes or {}).values()):
        worker.kill()


def _through_pools(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    workers: int,
    start_method: str | None,
    advance: Callable[[], None],
) -> list[T]:
    tasks = [cloudpickle.dumps((function, a)) for a in arguments]
    results: dict[int, Any] = {}
    for _ in range(_ATTEMPTS):
        left = [i for i in range(len(tasks)) if i not in results]
        if not left:
            break
        context = multiprocessing.get_context(start_method)
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_the_parent)
        try:
            futures = {pool.submit(_call, tasks[i]): i for i in left}
            for future in _completed(futures):
                results[futures[future]] = cloudpickle.loads(future.result())
                advance()
        except BrokenProcessPool:
            continue
        except KeyboardInterrupt:
            _end_at_once(pool)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if len(results) < len(tasks):
        raise RuntimeError(
            f"workers died {_ATTEMPTS} times; {len(tasks) - len(results)} of {len(tasks)} runs are missing"
        )
    return [results[i] for i in range(len(tasks))]
