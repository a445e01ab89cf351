"""An executor of the user, such as Dask's. Tasks are sent in chunks, because each transfer costs milliseconds.

If a chunk is lost (its worker died, or another task on that worker killed it), its tasks are run again one by one while
no other task runs: a task whose worker dies then is the cause.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

import cloudpickle

from sim.lab.version import version
from sim.lab.work.outcomes import ExecutorLost, Failure, OtherVersion, attempt_sent, failed, packed, unpacked
from sim.lab.work.source import PATIENCE, TaskSource

__all__ = ["executor_outcomes"]

_SLOTS = 8  # workers of an executor that does not say how many it has
_AHEAD = 2  # chunks in flight for each worker: one that runs, and one that waits there
_WORTH = 0.5  # real seconds of work that a chunk should hold: a transfer of 10 ms is little beside it
_LONGEST = 100  # tasks in a chunk: so many are repeated when a worker dies
_LOOK = 1.0  # real seconds between two checks that the executor is connected

# Runs are not made to share a process at the same time, and would not be faster.
_ONE_AT_A_TIME = threading.Lock()


def _chunk(
    number: int, expected: str, function: bytes, tasks: Sequence[bytes]
) -> tuple[str, float, list[bytes]]:
    """In a worker: its version, the seconds that it took, and an outcome for each task (none if versions differ).

    ``number``: makes each call different, because Dask would answer an equal call with the result of the first.
    """
    here = version()
    if here != expected:
        return here, 0.0, []
    with _ONE_AT_A_TIME:
        begun = time.perf_counter()
        call = cloudpickle.loads(function)
        done = [packed(attempt_sent(call, task)) for task in tasks]
        return here, time.perf_counter() - begun, done


class _Flights:
    """The chunks that are sent and not yet finished."""

    def __init__(
        self,
        executor: Executor,
        function: Callable[..., Any],
        slots: int,
        total: int,
        lost: Callable[[], str | None],
    ) -> None:
        self._executor = executor
        self._lost = lost
        self._function = bytes(cloudpickle.dumps(function))
        self._most = max(1, total // (slots * 4))  # so that all workers have something to do until the end
        self.window = slots * _AHEAD
        self.size = 1
        self._number = 0
        self.alone = False
        self.under_way: dict[Future[Any], list[int]] = {}

    def begin(self, tasks: Sequence[tuple[int, bytes]], alone: bool = False) -> None:
        """Send a chunk. Raises `ExecutorLost` if the executor accepts none."""
        try:
            self._number += 1
            future = self._executor.submit(
                _chunk, self._number, version(), self._function, [sent for _, sent in tasks]
            )
        except (RuntimeError, OSError) as error:
            why = self._lost() or f"the executor takes no more runs ({failed(error).reason})"
            raise ExecutorLost(why) from error
        self.alone = alone
        self.under_way[future] = [task for task, _ in tasks]

    def landed(self, future: Future[Any]) -> Iterator[tuple[int, Any]]:
        """The outcomes of a chunk. Raises `ExecutorLost`, `OtherVersion`, and the error of a chunk that was lost."""
        tasks = self.under_way.pop(future)
        try:
            there, seconds, done = future.result()
        except (CancelledError, BrokenExecutor) as error:
            why = self._lost() or f"the executor is gone ({failed(error).reason})"
            raise ExecutorLost(why) from error
        if there != version():
            raise OtherVersion(
                f"a worker has version {there} of sim, and this process {version()}: make them equal"
            )
        if seconds > 0:
            wanted = int(_WORTH * len(tasks) / seconds)
            self.size = max(1, min(wanted, 2 * self.size, _LONGEST, self._most))
        yield from zip(tasks, map(unpacked, done), strict=True)


def executor_outcomes(
    executor: Executor,
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    source: TaskSource,
    *,
    slots: int | None = None,
    lost: Callable[[], str | None] = lambda: None,
) -> Iterator[tuple[int, Any]]:
    """Run the tasks of a source in an executor; number and outcome of each, as they end.

    ``slots``: how many tasks it runs at the same time, if it does not say so. ``lost``: why it is lost, or None.
    Raises `ExecutorLost` when the executor is lost. Closing the iterator cancels tasks that have not begun.
    """
    flights = _Flights(
        executor, function, slots or getattr(executor, "_max_workers", None) or _SLOTS, len(arguments), lost
    )
    suspects: deque[int] = deque()
    try:
        while source.left or flights.under_way or suspects:
            while not flights.alone and len(flights.under_way) < flights.window:
                chunk, unsent = _taken(source, arguments, flights.size)
                yield from unsent
                if not chunk:
                    break
                flights.begin(chunk)
            if not flights.under_way:
                if suspects:
                    suspect = suspects.popleft()
                    flights.begin([(suspect, bytes(cloudpickle.dumps(arguments[suspect])))], alone=True)
                elif source.left:
                    time.sleep(PATIENCE)
                continue
            done, _ = wait(flights.under_way, timeout=_LOOK, return_when=FIRST_COMPLETED)
            if not done and (why := lost()) is not None:
                raise ExecutorLost(why)
            for future in done:
                tasks, alone = flights.under_way[future], flights.alone
                try:
                    yield from flights.landed(future)
                except (ExecutorLost, OtherVersion):
                    raise
                except Exception as error:
                    if (why := lost()) is not None:
                        raise ExecutorLost(why) from error
                    if alone:
                        yield tasks[0], Failure(f"{failed(error).reason}, also when it ran alone", error)
                    else:
                        suspects.extend(tasks)
                flights.alone = False
    finally:
        for future in flights.under_way:
            future.cancel()


def _taken(
    source: TaskSource, arguments: Sequence[tuple[Any, ...]], most: int
) -> tuple[list[tuple[int, bytes]], list[tuple[int, Failure]]]:
    """The next tasks, as bytes; and those that cannot be sent."""
    chunk: list[tuple[int, bytes]] = []
    unsent: list[tuple[int, Failure]] = []
    while len(chunk) < most and (task := source.take()) is not None:
        try:
            chunk.append((task, bytes(cloudpickle.dumps(arguments[task]))))
        except Exception as error:
            why = f"it cannot be sent to another process: {failed(error).reason}"
            unsent.append((task, Failure(why, error)))
    return chunk, unsent
