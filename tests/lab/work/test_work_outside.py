"""Any executor will do: its tasks go in chunks, and what becomes of one is not blamed on another."""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from sim import Scenario, compare
from sim.lab.work import ExecutorLost, Failure, Work, outcomes
from sim.lab.work.outcomes import OtherVersion
from sim.network import constant
from sim.protocols import PrimaryBackup, Raft


class Inline(Executor):
    """Runs a call at once; ``spoil``: what becomes of the chunk of so many tasks instead (an exception)."""

    _max_workers = 2

    def __init__(self, spoil: Callable[[int], BaseException | None] = lambda _: None) -> None:
        self.chunks: list[int] = []
        self._spoil = spoil

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.chunks.append(len(arguments[-1]))
        error = self._spoil(len(self.chunks))
        if error is None:
            future.set_result(function(*arguments))
        else:
            future.set_exception(error)
        return future


def square(n: int) -> int:
    if n == 13:
        raise ValueError("13 is unlucky")
    return n * n


def squares(count: int, executor: Executor) -> list[Any]:
    found = dict(outcomes(square, [(n,) for n in range(count)], executor=executor))
    return [found[n] for n in range(count)]


def test_each_task_has_its_outcome_in_whatever_executor() -> None:
    for executor in (Inline(), ThreadPoolExecutor(3)):
        with executor:
            found = squares(30, executor)
        assert isinstance(found[13], Failure)
        assert found[13].reason == "ValueError: 13 is unlucky"
        assert [n for n in range(30) if found[n] != n * n] == [13]


def test_a_task_that_cannot_be_sent_keeps_its_exception_in_whatever_executor() -> None:
    for given in ({"executor": Inline()}, {"workers": 2}):
        found = dict(outcomes(square, [(2,), (threading.Lock(),)], **given))
        assert found[0] == 4
        assert isinstance(found[1], Failure)
        assert found[1].reason.startswith("it cannot be sent to another process: TypeError: cannot pickle")
        assert isinstance(found[1].error, TypeError)


def test_a_sweep_takes_every_keyword_that_says_how_runs_are_made() -> None:
    assert Work.__annotations__.keys() <= inspect.signature(Scenario.sweep).parameters.keys()


def test_quick_tasks_travel_together() -> None:
    executor = Inline()
    squares(400, executor)
    assert sum(executor.chunks) == 400
    assert max(executor.chunks) > 20
    assert executor.chunks[0] == 1  # nobody knows yet how long they take
    assert (
        max(executor.chunks) <= 50
    )  # an eighth each, so that all workers have something to do until the end


def test_a_chunk_that_is_lost_runs_again_task_by_task() -> None:
    executor = Inline(lambda number: RuntimeError("its worker died") if number == 6 else None)
    assert squares(12, executor) == [square(n) for n in range(12)]
    lost = executor.chunks[5]
    assert executor.chunks[-lost:] == [1] * lost


def test_a_task_that_is_lost_alone_too_is_the_cause() -> None:
    class Dies(Inline):
        def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
            future = super().submit(function, *arguments)
            sent = arguments[-1]
            if any(b"guilty" in task for task in sent):
                future = Future()
                future.set_exception(RuntimeError("its worker died"))
            return future

    tasks = [("innocent",)] * 20 + [("guilty",)] + [("innocent",)] * 20
    found = dict(outcomes(len, tasks, executor=Dies()))
    assert [n for n in range(41) if found[n] != 8] == [20]
    assert found[20].reason == "RuntimeError: its worker died, also when it ran alone"


def leave(n: int) -> int:
    return os._exit(3) if n == 5 else n


def test_a_pool_that_breaks_is_gone_and_what_had_finished_has_come() -> None:
    found = []
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(ExecutorLost, match=r"the executor is gone .BrokenProcessPool"),
    ):
        found.extend(outcomes(leave, [(n,) for n in range(20)], executor=pool))
    assert all(outcome == n for n, outcome in found)


def test_a_pool_that_was_shut_down_is_gone() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ExecutorLost, match="the executor takes no more runs"):
        squares(3, pool)


def test_a_worker_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Inline()
    seen = iter(["1.0+here", "1.0+there"])
    monkeypatch.setattr("sim.lab.work.outside.version", lambda: next(seen, "1.0+here"))
    with pytest.raises(
        OtherVersion, match=r"a worker has version 1.0.there of sim, and this process 1.0.here"
    ):
        squares(3, executor)


RUNNING = threading.Lock()


def is_alone(n: int) -> bool:
    free = RUNNING.acquire(blocking=False)
    time.sleep(0.002)
    if free:
        RUNNING.release()
    return free


def test_runs_in_threads_of_one_process_take_turns() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(outcomes(is_alone, [(n,) for n in range(20)], executor=pool))
    assert [outcome for _, outcome in found] == [True] * 20


def test_a_comparison_in_an_executor_equals_one_here() -> None:
    scenario = Scenario(system=Raft(nodes=3), network=constant(0.001), duration=0.5)
    systems = [Raft(nodes=3), PrimaryBackup(nodes=3)]
    here = compare(systems, scenario, seeds=2, workers=1, progress=None)
    with ThreadPoolExecutor(2) as pool:
        there = compare(systems, scenario, seeds=2, executor=pool, progress=None)
    assert [run.digest() for run in here.runs] == [run.digest() for run in there.runs]


@pytest.mark.parametrize(
    "setting", [{"run_timeout": 1.0}, {"memory_limit": 100}, {"workers": 2}, {"start_method": "spawn"}]
)
def test_settings_for_processes_here_are_refused_beside_an_executor(setting: Any) -> None:
    name = next(iter(setting))
    with pytest.raises(
        ValueError, match=f"{name}=.* is for processes of this machine: an executor has its own"
    ):
        outcomes(square, [(1,)], executor=Inline(), **setting)
