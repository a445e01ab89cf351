"""Kill -9 of the process or a worker at any moment, or the last block of the disk gone: resume gives the same grid."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim import Scenario
from sim.lab.store import FILE
from sim.lab.sweep import Sweep
from sim.network import constant
from sim.protocols import Raft
from sim.workload import ClosedLoop, UniformKeys

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers in /proc"),
    pytest.mark.filterwarnings("ignore:.*was damaged"),
]

SCENARIO = Scenario(
    system=Raft(nodes=3),
    network=constant(0.001),
    workload=ClosedLoop(clients=2, keys=UniformKeys(2)),
    duration=0.5,
)


def swept(out: Path | None, log: Path | None = None, workers: int = 2) -> Sweep:
    """The grid: 12 runs of some 0.05 s. ``log``: a file with a line for each run that is begun."""
    if log is not None:
        run = Scenario.run

        def noted(self: Scenario, seed: int = 0) -> object:
            with log.open("a") as file:
                file.write(f"{self.workload.clients} {seed}\n")
            return run(self, seed)

        Scenario.run = noted  # type: ignore[assignment, method-assign] - in a process of its own
    return SCENARIO.sweep(
        workload__clients=[1, 2, 3], seeds=4, judge=False, workers=workers, progress=None, out=out,
        resume=out is not None,
    )  # fmt: skip


def start(out: Path, log: Path | None = None) -> BaseProcess:
    """The sweep in a process of its own, which has imported everything."""
    process = multiprocessing.get_context("fork").Process(target=swept, args=(out, log))
    process.start()
    return process


def workers_of(process: BaseProcess) -> list[int]:
    try:
        return [
            int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def cut(path: Path) -> None:
    """The last block of a file is gone."""
    if path.exists() and (size := path.stat().st_size):
        os.truncate(path, (size - 1) // 4096 * 4096)


def disturb(out: Path, stream: np.random.Generator) -> str:
    """Let the sweep go on, and do it some harm; what was done."""
    harm = ("process", "worker", "log", "block")[stream.integers(4)]
    process = start(out)
    time.sleep(stream.uniform(0, 0.4))
    if harm == "worker":
        for worker in workers_of(process)[:1]:
            os.kill(worker, signal.SIGKILL)
        process.join()
        return harm
    process.kill()
    process.join()
    if harm != "process":
        cut(out / (f"{FILE}-wal" if harm == "log" else FILE))
    return harm


@pytest.fixture(scope="module")
def undisturbed() -> Sweep:
    return swept(None, workers=1)


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.nightly)])
def test_what_is_killed_and_resumed_ends_with_the_undisturbed_grid(
    tmp_path: Path, undisturbed: Sweep, times: int
) -> None:
    stream = np.random.default_rng(times)
    done: list[str] = []
    while len(done) < times:
        out = tmp_path / str(len(done))
        done += [disturb(out, stream) for _ in range(min(3, times - len(done)))]
        resumed = swept(out, workers=1)
        assert [run.digest() for run in resumed.runs] == [run.digest() for run in undisturbed.runs], done
        pd.testing.assert_frame_equal(resumed.summaries, undisturbed.summaries)
        connection = sqlite3.connect(out / FILE)
        counts = connection.execute("SELECT count(*), count(DISTINCT key || seed) FROM runs").fetchone()
        connection.close()
        assert counts == (12, 12), done
    print(f"\n{pd.Series(done).value_counts().to_dict()}")


def test_two_writers_share_the_work(tmp_path: Path, undisturbed: Sweep) -> None:
    log = tmp_path / "log"
    writers = [start(tmp_path, log) for _ in range(2)]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    begun = log.read_text().split("\n")[:-1]
    assert len(begun) == len(set(begun)) == 12
    resumed = swept(tmp_path)
    assert len(log.read_text().split("\n")[:-1]) == 12
    pd.testing.assert_frame_equal(resumed.summaries, undisturbed.summaries)
