"""A sweep keeps measures, verdict, digest and a sketch of each run, in few bytes; its frames on request."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from sim import Scenario
from sim.lab.light import lighten
from sim.lab.sweep import sweep
from sim.network import constant
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop

VARIED = {"workload.rate": [40.0, 80.0]}


def world(**fields: Any) -> Scenario:
    base: dict[str, Any] = {"network": constant(0.01), "workload": OpenLoop(clients=4), "duration": 1.0}
    return Scenario(system=PrimaryBackup(nodes=2), **{**base, **fields})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_without_frames_says_the_same(workers: int) -> None:
    light = sweep(world(), VARIED, seeds=2, workers=workers, progress=None)
    whole = sweep(world(), VARIED, seeds=2, workers=1, progress=None, frames=True)
    assert not any(run.has_frames for run in light.runs)
    assert all(run.has_frames for run in whole.runs)
    assert light.text() == whole.text()
    assert light.summaries.equals(whole.summaries)
    assert [run.digest() for run in light.runs] == [run.digest() for run in whole.runs]
    assert light.pooled().equals(whole.pooled())
    assert light.runs[0].operations.equals(whole.runs[0].operations)  # it is made again
    assert light.runs[0].has_frames


def test_pooled_quantiles_are_those_of_all_operations_together() -> None:
    done = sweep(world(), VARIED, seeds=3, workers=1, progress=None, frames=True)
    pooled = done.pooled((0.5, 0.99)).set_index("workload__rate")
    for rate in (40.0, 80.0):
        runs = [
            run for run, point in zip(done.runs, done.points, strict=True) if point["workload__rate"] == rate
        ]
        together = np.concatenate([run.operations["latency"].to_numpy() for run in runs])
        assert pooled.loc[rate, "operations"] == len(together)
        exact = np.quantile(together, 0.99, method="inverted_cdf")
        assert pooled.loc[rate, "p99"] == pytest.approx(exact, rel=0.0101)


def test_a_run_without_frames_takes_few_kilobytes_of_memory() -> None:
    """docs/measures.md says how many; pickling is how it comes from a worker."""
    scenario = world(workload=OpenLoop(clients=4, rate=1000.0))
    sent = pickle.dumps((lighten(scenario.run(1)), None))
    tracemalloc.start()
    kept = [pickle.loads(sent) for _ in range(200)]
    per_run = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    assert per_run < 8_000
    assert kept[0][0].summary()["ok"] > 900
