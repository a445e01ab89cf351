"""Many runs: what each costs beside itself, and what a second core brings.

The overhead is that of tasks which do nothing, through our worker processes, through the standard library's pool and
(where it is installed) through Dask on this machine; then that of keeping a row in a store. The gain is that of a sweep
of runs of about a second each, with one worker and with two, in turns. Real seconds are measured here, since waiting is
what it is about: the load of the machine is printed beside them.

    python benchmarks/bench_sweep.py [tasks]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from side_by_side import progress

from sim import Scenario
from sim.lab.store import ResultStore, row_of
from sim.lab.work import outcomes
from sim.network import constant
from sim.protocols import Raft
from sim.workload import ClosedLoop

TASKS = 2000
WORKERS = 2
ROUNDS = 3
WANTED = {"our workers": 1.0, "Dask": 10.0}
"""Milliseconds a run, at most."""


def nothing(number: int) -> int:
    return number


def seconds(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def ours(tasks: int, **work: Any) -> None:
    found = sum(1 for _ in outcomes(nothing, [(n,) for n in range(tasks)], **work))
    assert found == tasks


def pool(tasks: int) -> None:
    with ProcessPoolExecutor(WORKERS) as executor:
        assert sum(1 for _ in executor.map(nothing, range(tasks))) == tasks


def overhead(tasks: int) -> dict[str, float]:
    """Milliseconds a run that tasks of no work take."""
    found = {}
    for name, run in (
        ("our workers", lambda: ours(tasks, workers=WORKERS)),
        ("ProcessPoolExecutor", lambda: pool(tasks)),
    ):
        progress(name)
        found[name] = min(seconds(run) for _ in range(ROUNDS)) / tasks * 1e3
    if find_spec("distributed") is not None:
        progress("Dask")
        found["Dask"] = through_dask(tasks)
    return found


def through_dask(tasks: int) -> float:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)
        ours(WORKERS * 20, executor=executor)  # workers import what they need
        return min(seconds(lambda: ours(tasks, executor=executor)) for _ in range(ROUNDS)) / tasks * 1e3


def scenario(duration: float) -> Scenario:
    return Scenario(
        system=Raft(nodes=5),
        network=constant(0.005),
        workload=ClosedLoop(clients=20),
        duration=duration,
    )


def keeping(rows: int = 500) -> tuple[float, float]:
    """Milliseconds that the row of a run takes to make (in the worker), and to keep (in the parent)."""
    run = scenario(1.0).run(1)
    check = run.check()
    row_of(run, check, frames=False)
    making = seconds(lambda: [row_of(run, check, frames=False) for _ in range(10)]) / 10 * 1e3
    row = row_of(run, check, frames=False)
    with tempfile.TemporaryDirectory() as folder, ResultStore(folder) as store:
        kept = seconds(lambda: [store.keep("key", seed, row) for seed in range(rows)])
    return making, kept / rows * 1e3


def duration_of_a_second() -> float:
    """How many simulated seconds take about a real one here."""
    scenario(1.0).run(1)
    return 4.0 / seconds(lambda: scenario(4.0).run(1))


def sweep(workers: int, duration: float, out: Path) -> None:
    scenario(duration).sweep(
        workload__clients=[20, 21], seeds=4, judge=False, workers=workers, progress=None, out=out
    )


def bare(duration: float) -> None:
    """The same runs through the standard library's pool, which keeps nothing and replaces no one."""
    with ProcessPoolExecutor(WORKERS) as executor:
        list(executor.map(run_bare, [duration] * 8, range(8)))


def run_bare(duration: float, seed: int) -> float:
    return float(scenario(duration).run(seed).summary()["p50"])


def gain() -> tuple[float, list[float], list[float]]:
    """Real seconds of a run; and how many times as quick as one worker two are, and a bare pool, in each round."""
    duration = duration_of_a_second()
    one_run = seconds(lambda: scenario(duration).run(1))
    two, pools = [], []
    for number in range(ROUNDS):
        progress(f"two cores, {number + 1} of {ROUNDS}")
        with tempfile.TemporaryDirectory() as folder:
            alone = seconds(lambda: sweep(1, duration, Path(folder, "one")))
            two.append(alone / seconds(lambda: sweep(WORKERS, duration, Path(folder, "two"))))
        pools.append(alone / seconds(lambda: bare(duration)))
    return one_run, two, pools


def main() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else TASKS
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {tasks} tasks, {WORKERS} workers")
    for name, milliseconds in overhead(tasks).items():
        most = f"  (at most {WANTED[name]:g} wanted)" if name in WANTED else ""
        print(f"{name:<22}{milliseconds:8.2f} ms a run{most}")
    making, kept = keeping()
    print(f"{'a row is made':<22}{making:8.2f} ms a run, in the worker (measures, verdict, digest)")
    print(f"{'a row is kept':<22}{kept:8.2f} ms a run")
    one_run, two, pools = gain()
    print(f"runs of {one_run:.2f} s, beside one worker; load {os.getloadavg()[0]:.1f}:")
    print(f"{'two workers':<22}{_ratios(two)} times as quick  (at least 1.8 wanted on two idle cores)")
    print(f"{'ProcessPoolExecutor':<22}{_ratios(pools)} times as quick")


def _ratios(found: list[float]) -> str:
    return f"{statistics.median(found):8.2f} ({', '.join(f'{ratio:.2f}' for ratio in found)})"


if __name__ == "__main__":
    main()
