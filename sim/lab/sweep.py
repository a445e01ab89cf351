"""Sweeps: one scenario with fields varied, under several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from itertools import product
from typing import TYPE_CHECKING, Any

from sim.lab.parallel import run_all
from sim.lab.run import Run
from sim.lab.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.plots import SweepPlots

__all__ = ["Sweep", "sweep"]


def _run(scenario: Scenario, seed: int) -> Run:
    return scenario.run(seed)


class Sweep:
    """Runs of a scenario with varied fields.

    Attributes: ``fields`` (their names), ``points`` (one mapping field -> value for each run), ``runs``.
    """

    def __init__(self, fields: tuple[str, ...], points: list[dict[str, Any]], runs: list[Run]) -> None:
        self.fields = fields
        self.points = points
        self.runs = runs

    @property
    def summaries(self) -> pd.DataFrame:
        """One row per run: the varied fields, ``run``, ``seed`` and every measure."""
        import pandas as pd

        rows = [
            {
                **{k: _plain(v) for k, v in point.items()},
                "run": run.label,
                "seed": run.seed,
                **run.summary().to_dict(),
            }
            for point, run in zip(self.points, self.runs, strict=True)
        ]
        return pd.DataFrame(rows)

    @property
    def plot(self) -> SweepPlots:
        """Charts of the sweep: ``sweep.plot.throughput_latency()`` and so on."""
        from sim.lab.plots import SweepPlots

        return SweepPlots(self)

    def table(self, measures: Iterable[str] | None = None) -> pd.DataFrame:
        """One row per point and measure: mean over seeds with its 95 % interval."""
        from sim.analysis.statistics import intervals
        from sim.analysis.tables import MEASURES, worth_showing

        usual = [name for name in MEASURES if worth_showing(self.summaries, name)]
        chosen = usual if measures is None else list(measures)
        return intervals(self.summaries, chosen, by=self.fields or ("run",))


def _plain(value: Any) -> Any:
    return (
        value if isinstance(value, int | float | str | bool | None) else getattr(value, "label", repr(value))
    )


def sweep(
    scenario: Scenario,
    fields: Mapping[str, Iterable[Any]],
    *,
    seeds: Iterable[int] = (0,),
    workers: int | None = None,
    executor: Executor | None = None,
    start_method: str | None = None,
    progress: str | None = "sweeping",
) -> Sweep:
    """Run a scenario for every combination of field values and every seed; see `Scenario.sweep`."""
    values = {name: list(options) for name, options in fields.items()}
    for name, options in values.items():
        if not options:
            raise ValueError(f"nothing to sweep: {name} has no values")
    seed_list = list(seeds)
    if not seed_list:
        raise ValueError("at least one seed is needed")
    points, tasks = [], []
    for combination in product(*values.values()):
        varied = scenario
        for name, value in zip(values, combination, strict=True):
            varied = varied.vary(name, value)
        for seed in seed_list:
            points.append(dict(zip(values, combination, strict=True)))
            tasks.append((varied, seed))
    runs = run_all(
        _run, tasks, workers=workers, executor=executor, start_method=start_method, progress=progress
    )
    return Sweep(tuple(values), points, runs)
