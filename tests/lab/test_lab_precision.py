"""Seeds added until means are as precise as wanted: one rule for comparisons, sweeps and the command line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from sim import Scenario, compare
from sim.analysis.statistics import mean_interval
from sim.commands.inputs import parse_precision
from sim.distributions import Exponential
from sim.lab.stages import aim, first_stage, in_stages, stages_told
from sim.lab.sweep import Sweep, sweep
from sim.lab.work import Failure
from sim.network import lan
from sim.protocols import PrimaryBackup, Raft
from sim.workload import OpenLoop


def world(**fields: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": PrimaryBackup(nodes=2, mode="async"),
        "network": lan(Exponential(0.01)),
        "workload": OpenLoop(clients=2, rate=20.0),
        "duration": 1.0,
    }
    return Scenario(**{**base, **fields})


class Fake:
    """A run of which only a measure is known."""

    def __init__(self, value: float) -> None:
        self.value = value

    def measures(self) -> dict[str, float]:
        return {"p50": self.value, "unavailability": math.nan}


def seeded(tasks: list[tuple[int, int]]) -> list[float]:
    """Scenario n varies by n tenths of its mean."""
    return [1.0 + number / 10 * np.random.default_rng([number, seed]).normal() for number, seed in tasks]


def fakes(tasks: list[tuple[int, int]], stage: int) -> Any:
    return [(Fake(value), None) for value in seeded(tasks)]


def staged(groups: list[list[int]], wanted: float, most: int, first: Any = None, run: Any = fakes) -> Any:
    goal = aim({"p50": wanted}, most)
    names = [f"s{n}" for n in range(sum(map(len, groups)))]
    found, stages = in_stages(names, groups, first_stage(first, goal, None), goal, run)
    return [[one if isinstance(one, Failure) else one[0].value for _, one in each] for each in found], stages


def test_scenarios_of_a_group_get_the_seeds_that_the_neediest_needs() -> None:
    results, stages = staged([[0, 1], [2]], 0.02, 1000)
    assert len(results[0]) == len(results[1]) == stages[0].sizes[-1]
    assert len(results[2]) == stages[1].sizes[-1] > len(results[0]) > 20
    for values, one in zip(results[1:], stages, strict=True):
        assert one.reached
        assert mean_interval(values).half_width <= 0.02 * np.mean(values)
    assert results[2] == seeded([(2, seed) for seed in range(len(results[2]))])  # each seed once, in order
    assert stages_told(stages)[0].startswith("precision wanted: p50 ± 2 %; reached with ")
    assert str(stages[1]).endswith(
        f"in {len(stages[1].sizes)} stages ({', '.join(map(str, stages[1].sizes))})"
    )


def test_that_the_bound_on_seeds_was_reached_is_said() -> None:
    results, stages = staged([[0], [1]], 0.01, 30, first=[100, 5, *range(10, 20)])
    assert [len(values) for values in results] == [12, 30]
    # After the given seeds come those above the largest of them.
    assert results[1][11:13] == seeded([(1, 19), (1, 101)])
    assert stages[0].reached
    assert not stages[1].reached
    told = stages_told(stages)
    assert told[0] == "precision wanted: p50 ± 1 %; reached with 12 seeds, in 1 stage (12)"
    assert told[1].startswith(
        "precision wanted: p50 ± 1 %; NOT reached at max_seeds=30, in 2 stages (12, 30): p50 of s1 ± "
    )
    assert stages[1].short[0].relative == pytest.approx(
        mean_interval(results[1]).half_width / np.mean(results[1])
    )


def test_runs_that_fail_are_made_up_for() -> None:
    """Every third run of the second scenario fails."""

    def run(tasks: list[tuple[int, int]], stage: int) -> Any:
        done = fakes(tasks, stage)
        return [
            Failure("no") if n == 1 and seed % 3 == 0 else one
            for (n, seed), one in zip(tasks, done, strict=True)
        ]

    results, stages = staged([[0, 1]], 0.02, 1000, run=run)
    good = [value for value in results[1] if not isinstance(value, Failure)]
    assert len(results[0]) == len(results[1]) > 1.4 * len(good)
    assert stages[0].reached
    assert mean_interval(good).half_width <= 0.02 * np.mean(good)
    with pytest.raises(RuntimeError, match="all of 20 runs failed; the first: no"):
        staged([[0]], 0.02, 1000, run=lambda tasks, _: [Failure("no")] * len(tasks))


def test_a_store_keeps_all_stages_and_goes_on_from_them(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "seeds": 10,
        "precision": {"p50": 0.2},
        "judge": False,
        "workers": 1,
        "progress": None,
    }
    few = world(workload=OpenLoop(clients=2, rate=8.0))
    first = compare(few.system, few, out=tmp_path, **asked)
    assert first.stages is not None
    assert len(first.stages.sizes) > 1
    again = compare(few.system, few, out=tmp_path, resume=True, **asked)
    assert again.stages == first.stages
    assert again.summaries.equals(first.summaries)


def test_a_measure_that_no_run_has_asks_for_no_more_seeds() -> None:
    goal = aim({"unavailability": 0.02}, None)
    results, stages = in_stages(["a"], [[0]], range(10), goal, fakes)
    assert len(results[0]) == 10
    assert str(stages[0]).endswith("NOT reached, in 1 stage (10): no run has a value of unavailability")


def test_a_comparison_adds_seeds_says_so_and_keeps_it_in_its_folder(tmp_path: Path) -> None:
    systems = [PrimaryBackup(nodes=2, mode="async"), PrimaryBackup(nodes=2, mode="sync")]
    found = compare(
        systems,
        world(workload=OpenLoop(clients=2, rate=8.0)),
        seeds=10,
        precision={"p50": 0.25},
        max_seeds=40,
        judge=False,
        workers=1,
        progress=None,
    )
    assert found.stages is not None
    assert found.stages.reached
    table = found.table(["p50"])
    assert (table["seeds"] == found.stages.sizes[-1]).all()
    assert found.stages.sizes[-1] > 10
    assert ((table["p50_high"] - table["p50"]) <= 0.25 * table["p50"]).all()
    assert str(found.stages) in found.text()
    found.save(tmp_path)
    again = sim.load(tmp_path)
    assert again.stages == found.stages  # type: ignore[union-attr]
    assert again.text() == found.text()  # type: ignore[union-attr]


def test_a_sweep_adds_seeds_at_each_point_and_pairs_systems(tmp_path: Path) -> None:
    systems = [PrimaryBackup(nodes=2, mode="async"), PrimaryBackup(nodes=2, mode="sync")]
    varied = {"system": systems, "workload.rate": [8.0, 100.0]}
    done = sweep(
        world(),
        varied,
        precision={"p50": 0.2},
        seeds=10,
        max_seeds=60,
        judge=False,
        workers=1,
        progress=None,
    )
    sizes = done.summaries.groupby(["system", "workload__rate"], sort=False)["seed"].agg(["count", "nunique"])
    assert (sizes["count"] == sizes["nunique"]).all()
    counts = sizes["count"].unstack()
    assert (counts.nunique() == 1).all()  # systems are paired
    assert counts[8.0].iloc[0] > counts[100.0].iloc[0] == 10  # rare operations vary more
    assert f"10 to {counts[8.0].iloc[0]} seeds" in done.text()
    assert "precision wanted: p50 ± 20 %" in done.text()
    assert done.ratio(systems[0])["n"].tolist()[0] == counts[8.0].iloc[0]
    done.save(tmp_path)
    again = sim.load(tmp_path)
    assert isinstance(again, Sweep)
    assert again.stages == done.stages
    assert again.text() == done.text()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"precision": 2}, r"precision is a fraction of the mean, such as 0.02 for ± 2 %, not 2"),
        ({"precision": 0.0}, "not 0.0"),
        ({"precision": True}, "not True"),
        ({"precision": "2 %"}, "not '2 %'"),
        ({"precision": math.nan}, "not nan"),
        ({"precision": {}}, "precision names no measure"),
        ({"precision": {"p5": 0.02}}, "there is no measure 'p5' .did you mean"),
        ({"precision": {"offered": 0.02}}, "there is no measure 'offered'"),
        ({"precision": {"p50": 20}}, "not 20"),
        ({"max_seeds": 50}, "max_seeds=50 bounds the seeds that precision= adds"),
        ({"precision": 0.02, "max_seeds": 0}, "max_seeds must be an integer of at least 1, not 0"),
        ({"precision": 0.02, "max_seeds": 5}, "precision= needs 10 seeds to begin with, .* not 5"),
        ({"precision": 0.02, "seeds": 3}, "precision= needs 10 seeds to begin with, .* not 3"),
        ({"precision": 0.02, "seeds": 30, "max_seeds": 20}, "begins with 30, more than max_seeds=20"),
    ],
)
def test_a_precision_that_cannot_be_meant_is_refused_before_any_run(
    asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(Raft(), world(), workers=0, **asked)  # workers=0 would be refused by the first run
    with pytest.raises(ValueError, match=message):
        world().sweep(duration=[1.0, 2.0], workers=0, **asked)


def test_the_command_line_takes_one_fraction_or_one_for_each_measure() -> None:
    assert parse_precision([]) is None
    assert parse_precision(["0.02"]) == 0.02
    assert parse_precision(["p50=0.01", "p99=0.05"]) == {"p50": 0.01, "p99": 0.05}
