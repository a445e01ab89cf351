"""A crew: worker processes of this machine, each with one task at a time.

A worker that dies, hangs or runs out of memory is replaced; the other workers go on. Its task is run again while no
other task runs: the operating system may have killed the worker because of the memory of another one. If the worker
dies again, the task is the cause, and fails.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

from sim.lab.work.outcomes import Failure, failed, unpacked
from sim.lab.work.source import PATIENCE, TaskSource
from sim.lab.work.worker import LEAVE, work

__all__ = ["crew_outcomes"]

_LEAVING = 1.0  # real seconds that idle workers have to clean up at the end


class _Worker:
    """One process, the pipe to it, and its current task."""

    def __init__(self, context: BaseContext, function: bytes, memory: int | None) -> None:
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=work, args=(theirs, function, memory), daemon=True
        )
        self.process.start()
        theirs.close()
        self.task: int | None = None
        self.alone = False
        self.deadline: float | None = None

    def give(self, task: int, sent: bytes, seconds: float | None, alone: bool) -> None:
        """Send it a task. Raises OSError if the process is dead."""
        self.task, self.alone = task, alone
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.connection.send_bytes(sent)

    def leave(self) -> None:
        """Let it end by itself, so that it can clean up; end it at once if it runs a task."""
        if self.task is not None:
            self.process.kill()
            return
        with suppress(OSError):  # it is dead
            self.connection.send_bytes(LEAVE)

    def end(self) -> int | None:
        """End it at once. Returns the exit code (negative: the signal that killed it)."""
        self.process.kill()
        return self.ended()

    def ended(self) -> int | None:
        """Wait for its end, and close its pipe and process. Returns the exit code."""
        self.process.join()
        code = self.process.exitcode
        self.connection.close()
        self.process.close()
        return code


class _Crew:
    def __init__(
        self,
        function: Callable[..., Any],
        workers: int,
        start_method: str | None,
        run_timeout: float | None,
        memory_limit: float | None,
    ) -> None:
        self._context = multiprocessing.get_context(start_method)
        self._function = bytes(cloudpickle.dumps(function))
        self._most = workers
        self._timeout = run_timeout
        self._memory = None if memory_limit is None else int(memory_limit * 1e6)
        self.workers: list[_Worker] = []
        self.suspects: deque[int] = deque()

    @property
    def busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    @property
    def room(self) -> bool:
        """Whether another task can begin now; not while a task must run alone."""
        busy = self.busy
        return len(busy) < self._most and not any(worker.alone for worker in busy)

    def begin(self, task: int, arguments: tuple[Any, ...], alone: bool = False) -> Failure | None:
        """Give a task to an idle worker. Returns a failure if the task cannot be sent."""
        try:
            sent = bytes(cloudpickle.dumps(arguments))
        except Exception as error:
            return Failure(f"it cannot be sent to another process: {failed(error).reason}", error)
        while True:
            worker = next((w for w in self.workers if w.task is None), None)
            if worker is None:
                worker = _Worker(self._context, self._function, self._memory)
                self.workers.append(worker)
            try:
                worker.give(task, sent, self._timeout, alone)
                return None
            except OSError:  # it died while it had nothing to do: another one takes its place
                self.workers.remove(worker)
                worker.end()

    def wait(self) -> Iterator[tuple[int, Any]]:
        """Wait for a worker to report, at most until the next run times out. Returns the outcomes of tasks."""
        busy = self.busy
        now = time.monotonic()
        deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
        timeout = max(0.0, min(deadlines) - now) if deadlines else None
        ready = wait([w.connection for w in busy] + [w.process.sentinel for w in busy], timeout)
        for worker in busy:
            task = worker.task
            assert task is not None
            if worker.connection in ready or worker.process.sentinel in ready:
                outcome = self._received(worker)
            elif worker.deadline is not None and time.monotonic() >= worker.deadline:
                self._remove(worker, kill=True)
                outcome = Failure(f"it took longer than {self._timeout:g} s")
            else:
                continue
            if outcome is None:
                self.suspects.append(task)
            else:
                yield task, outcome

    def _received(self, worker: _Worker) -> Any:
        """The outcome that a worker sent; a failure if it died while it ran alone; None if it died while others ran."""
        try:
            sent = worker.connection.recv_bytes() if worker.connection.poll() else None
        except (EOFError, OSError):
            sent = None
        if sent is None:
            code = self._remove(worker)
            return Failure(_death(code)) if worker.alone else None
        outcome = unpacked(sent)
        worker.task = None
        if isinstance(outcome, Failure) and outcome.exhausted:
            self._remove(worker)
        return outcome

    def _remove(self, worker: _Worker, kill: bool = False) -> int | None:
        self.workers.remove(worker)
        return worker.end() if kill else worker.ended()

    def close(self) -> None:
        """End all workers; those with a task at once, because its result is not needed any more."""
        for worker in self.workers:
            worker.leave()
        deadline = time.monotonic() + _LEAVING
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()  # nothing, where it has left
        for worker in self.workers:
            worker.ended()
        self.workers.clear()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"its process was killed by {signal.Signals(-code).name}, also when it ran alone"
        except ValueError:
            return f"its process was killed by signal {-code}, also when it ran alone"
    return f"its process ended with exit code {code}, also when it ran alone"


def crew_outcomes(
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    source: TaskSource,
    *,
    workers: int,
    start_method: str | None = None,
    run_timeout: float | None = None,
    memory_limit: float | None = None,
) -> Iterator[tuple[int, Any]]:
    """Run the tasks of a source in worker processes; number and outcome of each, as they end.

    Closing the iterator ends all workers at once. ``run_timeout`` is in real seconds, ``memory_limit`` in megabytes.
    """
    crew = _Crew(function, workers, start_method, run_timeout, memory_limit)
    try:
        while source.left or crew.busy or crew.suspects:
            while crew.room and (task := source.take()) is not None:
                unsent = crew.begin(task, arguments[task])
                if unsent is not None:
                    yield task, unsent
            if crew.busy:
                yield from crew.wait()
            elif crew.suspects:
                suspect = crew.suspects.popleft()
                crew.begin(suspect, arguments[suspect], alone=True)
            elif source.left:
                time.sleep(PATIENCE)
    finally:
        crew.close()
