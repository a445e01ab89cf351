"""Dask's own scheduler and two workers on this machine: what is killed costs nobody else's runs, and can be resumed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim import Scenario
from sim.lab.store import FILE
from sim.lab.sweep import Sweep
from sim.lab.version import version
from sim.lab.work import ExecutorLost, Failure, outcomes
from sim.lab.work.cluster import ClusterWatch, connected
from sim.network import constant
from sim.protocols import Raft
from sim.workload import ClosedLoop, UniformKeys

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[3]

PART = """
import asyncio, sys
import distributed
import sim.lab.version

async def main():
    kind, *where = sys.argv[1:]
    more = {"dashboard": False} if kind == "Scheduler" else {"nthreads": 1}
    async with getattr(distributed, kind)(*where, host="127.0.0.1", port=0, **more) as part:
        print(part.address, flush=True)
        await part.finished()

if __name__ == "__main__":
    asyncio.run(main())
"""


class Cluster:
    """A scheduler and two workers, as processes."""

    def __init__(self, folder: Path, kind: str = "Worker") -> None:
        (folder / "part.py").write_text(PART)
        self._folder = folder
        self.scheduler, self.address = self._started("Scheduler")
        self.workers = [self._started(kind, self.address)[0] for _ in range(2)]

    def _started(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, str(self._folder / "part.py"), *arguments],
            cwd=self._folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


SCENARIO = Scenario(
    system=Raft(nodes=3),
    network=constant(0.001),
    workload=ClosedLoop(clients=2, keys=UniformKeys(2)),
    duration=0.5,
)


def swept(out: Path | None, **work: Any) -> Sweep:
    return SCENARIO.sweep(
        workload__clients=[1, 2, 3, 4],
        seeds=4,
        judge=False,
        progress=None,
        out=out,
        resume=out is not None,
        **work,
    )


def kill_at(
    process: subprocess.Popen[str], path: Path, rows: int, how: signal.Signals = signal.SIGKILL
) -> threading.Thread:
    """Kill (-9) when so many runs have finished."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists():
                connection = sqlite3.connect(path)
                try:
                    done = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
                except sqlite3.OperationalError:  # no tables yet
                    done = 0
                finally:
                    connection.close()
                if done >= rows:
                    process.send_signal(how)
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_worker_and_then_the_scheduler_are_killed_and_the_sweep_resumed(
    tmp_path: Path, cluster: Cluster
) -> None:
    path = tmp_path / FILE
    first = kill_at(cluster.workers[0], path, 4)
    second = kill_at(cluster.scheduler, path, 8)
    with connected(cluster.address) as executor, pytest.raises(ExecutorLost) as lost:
        swept(tmp_path, executor=executor)
    for killer in (first, second):
        killer.join()
    assert cluster.workers[0].wait() == cluster.scheduler.wait() == -9
    said = str(lost.value)
    assert "the scheduler is gone" in said
    assert f"of 16 runs finished and are kept in {tmp_path}; go on with --resume (resume=True)" in said
    connection = sqlite3.connect(path)
    assert 8 <= connection.execute("SELECT count(*) FROM runs").fetchone()[0] < 16
    connection.close()
    resumed, undisturbed = swept(tmp_path, workers=1), swept(None, workers=1)
    assert [run.digest() for run in resumed.runs] == [run.digest() for run in undisturbed.runs]
    pd.testing.assert_frame_equal(resumed.summaries, undisturbed.summaries)


SCRIPT = """
from sim import Scenario
from sim.network import constant
from sim.protocols import Raft
from sim.workload import ClosedLoop, UniformKeys

scenario = Scenario(
    system=Raft(nodes=3), network=constant(0.001), workload=ClosedLoop(clients=2, keys=UniformKeys(2)), duration=0.5
)
"""


def command(folder: Path, out: str, cluster: Cluster, *more: str) -> subprocess.Popen[str]:
    """`sim sweep --dask`, as a process."""
    (folder / "swept.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "-m", "sim", "sweep", "swept.py", "--vary", "workload.clients=1,2,3,4", "--seeds", "6",
         "--dask", cluster.address, "--out", out, *more],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def complained(process: subprocess.Popen[str]) -> str:
    """The last line on standard error, once it has ended."""
    said = process.communicate(timeout=60)[1]
    return said.strip().split("\r")[-1].strip().splitlines()[-1].strip() if said.strip() else ""


@pytest.mark.nightly
def test_ctrl_c_returns_at_once_from_a_cluster_too(tmp_path: Path, cluster: Cluster) -> None:
    running = command(tmp_path, "out", cluster)
    waiting = kill_at(running, tmp_path / "out" / FILE, 3, signal.SIGINT)
    waiting.join()
    begun = time.monotonic()
    said = complained(running)
    assert time.monotonic() - begun < 2.0
    assert running.returncode == 130
    assert said.startswith("sim: interrupted: ")
    assert said.endswith("of 24 runs finished and are kept in out; go on with --resume (resume=True)")


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_killed_the_resumed_grid_is_the_undisturbed_one(
    tmp_path: Path, cluster: Cluster, seed: int
) -> None:
    stream = np.random.default_rng(seed)
    running = command(tmp_path, "out", cluster)
    victims = {"command": running, "worker": cluster.workers[0], "scheduler": cluster.scheduler}
    victim = ("command", "worker", "scheduler")[seed % 3]
    kill_at(victims[victim], tmp_path / "out" / FILE, int(stream.integers(1, 20))).join()
    complained(running)
    print(f"\n{victim}, exit code {running.returncode}")
    out = tmp_path / "out"
    connection = sqlite3.connect(out / FILE)
    assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] >= 1
    connection.close()
    resumed = SCENARIO.sweep(
        workload__clients=[1, 2, 3, 4], seeds=6, workers=2, progress=None, out=out, resume=True
    )
    undisturbed = SCENARIO.sweep(workload__clients=[1, 2, 3, 4], seeds=6, workers=2, progress=None)
    assert [run.digest() for run in resumed.runs] == [run.digest() for run in undisturbed.runs]
    pd.testing.assert_frame_equal(resumed.summaries, undisturbed.summaries)


def kills_its_worker(n: int) -> int:
    if n == 5:
        os._exit(1)
    time.sleep(0.02)
    return n


@pytest.mark.nightly
def test_the_neighbours_of_a_run_that_kills_its_worker_are_not_blamed(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "Nanny")  # which starts a killed worker again
    try:
        with connected(cluster.address) as executor:
            found = dict(outcomes(kills_its_worker, [(n,) for n in range(40)], executor=executor))
    finally:
        cluster.close()
    assert [n for n in range(40) if found[n] != n] == [5]
    assert isinstance(found[5], Failure)
    assert "KilledWorker" in found[5].reason
    assert found[5].reason.endswith("also when it ran alone")


def watched(scheduler: Any, **workers: Any) -> ClusterWatch:
    """The watch of a client whose scheduler and workers answer so."""

    def ask(_: Any) -> Any:
        if isinstance(scheduler, Exception):
            raise scheduler
        return scheduler

    return ClusterWatch(SimpleNamespace(run_on_scheduler=ask, run=lambda _, on_error: workers))


def test_other_versions_are_refused() -> None:
    watched(version(), w1=version()).refuse_other_versions()
    for watch, complaint in [
        (watched("0.0+old", w1=version()), "the scheduler has 0.0.old, and this process sim"),
        (watched(version(), w1=version(), w2="0.0+old"), "the worker w2 has 0.0.old, and this process sim"),
        (
            watched(ImportError("No module named sim")),
            "the scheduler has no sim that can be used .No module named sim",
        ),
        (watched(version(), w1=ImportError("none")), "the worker w1 has no sim that can be used .none., and"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            watch.refuse_other_versions()


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1"),
        ("no address", "--dask no address: a scheduler's address is tcp://host:8786"),
    ],
)
def test_where_no_scheduler_answers_that_is_said(
    monkeypatch: pytest.MonkeyPatch, address: str, complaint: str
) -> None:
    monkeypatch.setattr("sim.lab.work.cluster._CONNECT", 0.3)
    with pytest.raises(ValueError, match=complaint), connected(address):
        pass


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.lab.work.cluster.find_spec", lambda _: None)
    with (
        pytest.raises(ValueError, match=r'needs Dask: pip install "quorumlab\[cluster\]"'),
        connected("tcp://x:1"),
    ):
        pass
