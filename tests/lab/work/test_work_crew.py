"""Worker processes: whatever a task does, it costs its own result only, and all the others come."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sim import Scenario, compare, sweep
from sim.lab import run_storms
from sim.lab.work import Failure, outcomes
from sim.protocols import Raft

OTHERS = [0, 1, 2, 4, 5]


def results(function: Any, count: int = 6, **work: Any) -> list[Any]:
    """The outcomes of a function of 0 to count - 1, in that order."""
    found = dict(outcomes(function, [(n,) for n in range(count)], **work))
    assert sorted(found) == list(range(count))
    return [found[n] for n in range(count)]


def raises(n: int) -> int:
    if n == 3:
        raise ValueError("3 is unlucky")
    return n


def exits(n: int) -> int:
    return sys.exit("enough") if n == 3 else n


def kills_itself(n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def crashes(n: int) -> int:
    if n == 3:
        faulthandler.disable()  # pytest's, which would print the stack
        os.kill(os.getpid(), signal.SIGSEGV)
    return n


def leaves(n: int) -> int:
    return os._exit(7) if n == 3 else n


def hangs(n: int) -> int:
    if n == 3:
        time.sleep(1000)
    return n


def hangs_in_a_loop(n: int) -> int:
    while n == 3:
        pass
    return n


def eats(n: int) -> int:
    kept = []
    while n == 3:
        kept.append(bytearray(10_000_000))
    return n


def returns_what_cannot_travel(n: int) -> Any:
    return (i for i in range(n)) if n == 3 else n


class Untidy(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raises_what_cannot_be_read_back(n: int) -> int:
    if n == 3:
        raise Untidy(1, 2)
    return n


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_raises_fails_alone(workers: int) -> None:
    found = results(raises, workers=workers)
    assert [found[n] for n in OTHERS] == OTHERS
    assert isinstance(found[3], Failure)
    assert found[3].reason == "ValueError: 3 is unlucky"
    assert isinstance(found[3].error, ValueError)
    assert "in raises" in found[3].trace


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (exits, "SystemExit: enough"),
        (kills_itself, "its process was killed by SIGKILL, also when it ran alone"),
        (crashes, "its process was killed by SIGSEGV, also when it ran alone"),
        (leaves, "its process ended with exit code 7, also when it ran alone"),
        (returns_what_cannot_travel, "its result cannot be sent to another process: TypeError"),
        (raises_what_cannot_be_read_back, "Untidy: 1 and 2"),
    ],
)
def test_a_task_that_ends_its_process_or_cannot_answer_fails_alone(function: Any, reason: str) -> None:
    found = results(function, workers=2)
    assert [found[n] for n in OTHERS] == OTHERS
    assert isinstance(found[3], Failure)
    assert found[3].reason.startswith(reason)


@pytest.mark.parametrize("function", [hangs, hangs_in_a_loop])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_hangs_is_given_up(function: Any, workers: int) -> None:
    found = results(function, workers=workers, run_timeout=0.3)
    assert [found[n] for n in OTHERS] == OTHERS
    assert found[3].reason == "it took longer than 0.3 s"


def test_a_task_that_eats_memory_fails_alone() -> None:
    found = results(eats, workers=2, memory_limit=200)
    assert [found[n] for n in OTHERS] == OTHERS
    assert found[3].reason == "it took more than 200 MB of memory"


def dies_once(path: str, n: int) -> int:
    marker = Path(path)
    if n == 1 and not marker.exists():
        marker.touch()
        os._exit(9)  # as when the system kills a worker
    return n


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.nightly)])
def test_a_task_whose_worker_is_killed_once_runs_again(tmp_path: Path, method: str) -> None:
    arguments = [(f"{tmp_path}/died", n) for n in range(4)]
    assert sorted(outcomes(dies_once, arguments, workers=2, start_method=method)) == [
        (n, n) for n in range(4)
    ]


def notes_who_runs(folder: str, n: int) -> int:
    """Task 3 kills its worker and finds who else ran when it ran alone."""
    running = Path(folder) / f"running-{n}"
    running.touch()
    others = [path for path in Path(folder).glob("running-*") if path != running]
    if n == 3:
        time.sleep(0.1)
        others = [path for path in Path(folder).glob("running-*") if path != running]
        with open(f"{folder}/others", "a", encoding="utf-8") as file:
            file.write(f"{len(others)}\n")
        running.unlink()
        os._exit(5)
    time.sleep(0.3)
    running.unlink()
    return n


def test_a_suspect_runs_again_alone(tmp_path: Path) -> None:
    found = dict(outcomes(notes_who_runs, [(str(tmp_path), n) for n in range(6)], workers=3))
    assert found[3].reason.startswith("its process ended with exit code 5")
    times = (tmp_path / "others").read_text().split()
    assert len(times) == 2
    assert times[1] == "0"


@pytest.mark.parametrize(
    ("work", "complaint"),
    [
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"workers": True}, "workers must be at least 1, not True"),
        ({"run_timeout": 0}, "run_timeout must be positive seconds, not 0"),
        ({"run_timeout": float("nan")}, "run_timeout must be positive seconds, not nan"),
        ({"memory_limit": -1}, "memory_limit must be positive megabytes, not -1"),
        ({"start_method": "teleport"}, "start_method must be one of fork, spawn, forkserver, not 'teleport'"),
        ({"executor": 3}, "executor must be a concurrent.futures.Executor, not 3"),
    ],
)
def test_what_cannot_be_followed_is_refused(work: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        outcomes(raises, [(1,)], **work)


@pytest.mark.parametrize(
    ("work", "error", "complaint"),
    [
        ({"worker": 2}, TypeError, "there is no keyword 'worker' .did you mean 'workers'"),
        ({"resume": True}, ValueError, "resume=True needs out=: the folder in which results are kept"),
        ({"frames": "no"}, ValueError, "frames must be True or False, not 'no'"),
        ({"out": 3}, ValueError, "out must be a folder, not 3"),
        ({"out": "x", "resume": "yes"}, ValueError, "resume must be True or False, not 'yes'"),
        ({"workers": 0}, ValueError, "workers must be at least 1, not 0"),
    ],
)
def test_comparisons_sweeps_and_storms_refuse_it_alike(
    work: Any, error: type[Exception], complaint: str
) -> None:
    scenario = Scenario(system=Raft(nodes=3), duration=0.1)
    for study in (
        lambda: compare([Raft(nodes=3)], scenario, seeds=1, **work),
        lambda: sweep(scenario, {"duration": [0.1]}, **work),
        lambda: run_storms(Raft(nodes=3), seeds=1, **work),
    ):
        with pytest.raises(error, match=complaint):
            study()


LONG = """
import os, time
from sim.lab.work import outcomes
def slow(n):
    os.write(1, b"begun\\n")  # at once: two workers write to one pipe, and what `print` writes in two pieces mixes
    time.sleep(1000)
if __name__ == "__main__":
    list(outcomes(slow, [(n,) for n in range(4)], workers=2))
"""


def test_workers_end_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert parent.stdout is not None
    assert [parent.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == ""  # ends only when nobody has the pipe open any more
    parent.stdout.close()


@pytest.mark.nightly
def test_spawned_workers_tidy_up() -> None:
    script = "if __name__ == '__main__':\n    from sim.lab.work import outcomes\n"
    script += "    list(outcomes(abs, [(n,) for n in range(4)], workers=2, start_method='spawn'))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
