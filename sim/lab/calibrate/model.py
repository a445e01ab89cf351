"""What a scenario predicts for the points of a curve, as a function of the parameters of its machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import log
from typing import Any

import numpy as np

from sim.cluster import Disk, Machine
from sim.distributions import Constant
from sim.distributions.base import Affine, Distribution, Floats
from sim.lab.calibrate.curve import MeasuredCurve
from sim.lab.scenario import Scenario
from sim.workload import ClosedLoop, OpenLoop

__all__ = ["NAMES", "CurveModel", "is_closed", "with_parameters"]

NAMES: Mapping[str, str] = {
    "per_message": "CPU seconds of a core for each message received",
    "fsync": "seconds of a sync of the disk (its median)",
    "per_byte": "CPU seconds of a core for each byte received",
}
"""The parameters that can be fitted, and what they are."""


def is_closed(scenario: Scenario) -> bool:
    """Whether the load of a scenario is a closed loop; ValueError if it is neither a closed nor an open loop."""
    if not isinstance(scenario.workload, OpenLoop | ClosedLoop):
        raise ValueError(
            "calibrate: the workload must be an OpenLoop, whose rate is varied, or a ClosedLoop, whose clients are, "
            f"not {type(scenario.workload).__name__}"
        )
    return isinstance(scenario.workload, ClosedLoop)


def with_parameters(scenario: Scenario, values: Mapping[str, float]) -> Scenario:
    """The scenario whose machines have these values; a disk whose syncs vary keeps the shape of their distribution."""
    machines = scenario.machines
    if isinstance(machines, Mapping):
        return replace(scenario, machines={name: _machine(m, values) for name, m in machines.items()})
    return replace(scenario, machines=_machine(machines, values))


def _machine(machine: Machine, values: Mapping[str, float]) -> Machine:
    costs: dict[str, Any] = {name: value for name, value in values.items() if name != "fsync"}
    if "fsync" in values:
        return replace(machine, disk=_disk(machine.disk, values["fsync"]), **costs)
    return replace(machine, **costs)


def _disk(disk: Disk, median: float) -> Disk:
    shape: Distribution = disk.latency
    usual = shape.quantile(0.5)
    scaled = (
        Constant(median) if isinstance(shape, Constant) or usual == 0.0 else Affine(shape, median / usual)
    )
    return replace(disk, fsync=scaled)


class CurveModel:
    """Predictions for the points of a curve. Each point runs under the same seeds, whatever the parameters."""

    def __init__(
        self, scenario: Scenario, curve: MeasuredCurve, names: Sequence[str], seeds: Sequence[int]
    ) -> None:
        self.scenario = scenario
        self.curve = curve
        self.names = tuple(names)
        self.seeds = tuple(seeds)
        self._known: dict[tuple[tuple[float, ...], int, int], Floats] = {}

    @cached_property
    def measured(self) -> Floats:
        """The logarithms of the measured values: one row a point, one column a measure."""
        found: Floats = np.log(np.array(list(self.curve.measures.values()))).T
        return found

    def predict(self, at: Floats, point: int, seed: int) -> Floats:
        """The logarithms of the measures of one point. ``at``: the logarithms of the parameters."""
        key = (tuple(float(value) for value in at), point, seed)
        if key not in self._known:
            values = dict(zip(self.names, np.exp(at).tolist(), strict=True))
            self._known[key] = self._run(with_parameters(self.scenario, values), point, seed)
        return self._known[key]

    def free(self, point: int, seed: int) -> Floats:
        """The prediction for machines on which the parameters cost nothing."""
        return self._run(with_parameters(self.scenario, dict.fromkeys(self.names, 0.0)), point, seed)

    def mean(self, at: Floats, points: Sequence[int], seeds: Sequence[int]) -> Floats:
        """The mean over the seeds of the logarithms: one row a point."""
        return np.array([np.mean([self.predict(at, p, s) for s in seeds], axis=0) for p in points])

    def spread(self, at: Floats, points: Sequence[int], seeds: Sequence[int]) -> Floats:
        """The variance between the seeds of the logarithms: one row a point, smoothed over neighbouring points."""
        raw = np.array([np.var([self.predict(at, p, s) for s in seeds], axis=0, ddof=1) for p in points])
        padded = np.vstack([raw[:1], raw, raw[-1:]])
        smooth: Floats = (padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0
        return smooth

    def _run(self, scenario: Scenario, point: int, seed: int) -> Floats:
        changes: dict[str, float] = {}
        load = self.curve.loads[point]
        if self.curve.axis == "clients":
            changes["workload__clients"] = round(load)
        else:
            changes["workload__rate"] = load
        if self.curve.sizes is not None:
            changes["workload__value_bytes"] = round(self.curve.sizes[point])
        return _measured(scenario.vary_all(changes), seed, tuple(self.curve.measures))


def _measured(scenario: Scenario, seed: int, names: Sequence[str]) -> Floats:
    """The logarithms of the measures of one run, of which only the operations are looked at."""
    from sim.analysis.measures import in_window, latencies, weigh_clients

    simulation = scenario.start(seed)
    simulation.run()
    simulation.finish()
    duration, warmup = scenario.duration, float(scenario.warmup)
    operations = simulation.recorder.frame("operations")
    if isinstance(scenario.workload, ClosedLoop):
        operations = weigh_clients(operations, duration=duration, warmup=warmup)
    called = in_window(operations, duration, warmup)
    if not len(called):
        raise ValueError(
            f"calibrate: no operation falls into the {duration - warmup:g} s that are measured at a load of "
            f"{scenario.workload!r}; make the duration of the scenario longer"
        )
    found = latencies(called, duration)
    returned = operations.loc[operations["status"] == "ok", "returned"].to_numpy(dtype=float)
    served = int(((returned >= warmup) & (returned < duration)).sum())
    values = {"throughput": served / (duration - warmup), "mean": found.mean().value}
    row = [values[n] if n in values else found.quantile(float(n[1:]) / 100.0).value for n in names]
    # An operation that is never answered waited until the end; a run without any answer served less than one.
    least = 1.0 / (duration - warmup)
    return np.array(
        [
            log(v) if v > 0.0 else log(least if n == "throughput" else 1e-9)
            for n, v in zip(names, row, strict=True)
        ]
    )
