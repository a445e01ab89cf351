"""What was saved comes back: frames with the types of their values, measures, verdicts, tables, charts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sim
import sim.protocols
from sim import Comparison, Run, Scenario, Sweep, compare
from sim.faults import Crash
from sim.lab import saved as saving
from sim.lab.storm import draw_storm
from sim.network import constant, wan
from sim.protocols import MultiPaxos, MultiPrimary, Raft
from sim.system import System
from sim.workload import ClosedLoop, OpenLoop

SYSTEMS = [
    name
    for name in sim.protocols.__all__
    if isinstance(kind := getattr(sim.protocols, name), type) and issubclass(kind, System)
]


@dataclass(frozen=True, kw_only=True)
class Mine(Raft):
    """A system that no folder may name without being allowed to."""


def same_types(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other)
    for name in one.columns:
        if one[name].dtype == object:
            assert [type(v) for v in one[name]] == [type(v) for v in other[name]], name


def check(back: Run, run: Run) -> None:
    assert (back.scenario, back.seed, back.label, back.digest()) == (
        run.scenario,
        run.seed,
        run.label,
        run.digest(),
    )
    assert back.ended == run.ended
    for name, frame in run.frames.items():
        same_types(back.frames[name], frame)
    pd.testing.assert_series_equal(back.summary(), run.summary())
    assert str(back.check()) == str(run.check())


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_saved_run_of_every_system_comes_back_equal(name: str, tmp_path: Path) -> None:
    storm = draw_storm(getattr(sim.protocols, name)(), seed=2)
    faults = [fault for fault in storm.faults if fault.begins < 1.5]
    scenario = replace(storm, duration=1.5, faults=faults, trace=True, sample_every=0.5)
    run = scenario.run(seed=2)
    run.save(tmp_path)
    back = sim.load(tmp_path)
    assert isinstance(back, Run)
    check(back, run)


SCENARIO = Scenario(
    system=Raft(nodes=3),
    network=wan("virginia", "oregon", "tokyo"),
    workload=OpenLoop(clients=3, rate=20),
    faults=[Crash("leader", at=1.0, down=1.0)],
    duration=4.0,
    warmup=0.5,
)


def alike(back: Comparison | Sweep, done: Comparison | Sweep) -> None:
    assert [c and str(c) for c in back.checks] == [c and str(c) for c in done.checks]
    for mine, theirs in zip(back.runs, done.runs, strict=True):
        check(mine, theirs)
    pd.testing.assert_frame_equal(back.table(), done.table())
    pd.testing.assert_frame_equal(back.summaries, done.summaries)
    assert back.text() == done.text()


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("something ran")

    monkeypatch.setattr("sim.lab.simulation.Simulation.__init__", refuse)


@pytest.mark.parametrize("workload", [OpenLoop(clients=3, rate=20), ClosedLoop(clients=3, think=0.1)])
def test_a_saved_comparison_comes_back_with_tables_and_charts(
    workload: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = compare([Raft(), MultiPaxos()], replace(SCENARIO, workload=workload), seeds=2, workers=1)
    done.save(tmp_path)
    forbid(monkeypatch)
    back = sim.load(tmp_path)
    assert isinstance(back, Comparison)
    alike(back, done)
    assert (back.heading, back.systems, back.scenarios) == (done.heading, done.systems, done.scenarios)
    assert back.label_of(Raft()) == done.label_of(Raft())
    same_types(back.operations, done.operations)
    assert len(back.plot.latency_cdf().lines) == len(done.plot.latency_cdf().lines) > 0


def test_a_saved_sweep_comes_back_with_tables_and_charts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SCENARIO.sweep(
        {"system": [Raft(nodes=3), MultiPaxos()], "workload__rate": [10, 20]}, seeds=2, workers=1, frames=True
    )
    done.save(tmp_path)
    forbid(monkeypatch)
    back = sim.load(tmp_path)
    assert isinstance(back, Sweep)
    alike(back, done)
    assert (back.fields, back.points, back.scenarios) == (done.fields, done.points, done.scenarios)
    assert len(back.plot.lines("p99").lines) == len(done.plot.lines("p99").lines) > 0


def saved(folder: Path) -> dict[str, Any]:
    Scenario(system=Raft(nodes=3), network=constant(0.01), duration=1.0).run(seed=1).save(folder)
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def test_the_manifest_says_what_ran(tmp_path: Path) -> None:
    manifest = saved(tmp_path)
    assert manifest["scenarios"][0]["system"] == {"class": "Raft", "nodes": 3}
    assert set(manifest["versions"]) == {"quorumlab", "sources", "python", "numpy", "pandas", "processor"}
    run = manifest["runs"][0]
    assert (run["seed"], len(run["digest"])) == (1, 32)
    assert run["measures"]["throughput"] > 0


def test_a_folder_that_is_not_what_was_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest.json can be read"):
        sim.load(tmp_path)
    manifest, file = saved(tmp_path), tmp_path / "manifest.json"
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="no JSON"):
        sim.load(tmp_path)
    file.write_text(json.dumps({**manifest, "runs": [{**manifest["runs"][0], "seed": 2}]}))
    with pytest.raises(ValueError, match="is not what was saved"):
        sim.load(tmp_path)
    file.write_text(json.dumps({**manifest, "form": 99}))
    with pytest.raises(ValueError, match="form 99"):
        sim.load(tmp_path)
    file.write_text("[]")
    with pytest.raises(ValueError, match="form"):
        sim.load(tmp_path)
    file.write_text(whole)
    frame = tmp_path / "operations.csv"
    frame.write_text(frame.read_text().replace("ok", "fail", 1))
    with pytest.raises(ValueError, match=r"operations\.csv is not the file that was saved"):
        sim.load(tmp_path)
    frame.unlink()
    with pytest.raises(ValueError, match=r"operations\.csv is not the file that was saved"):
        sim.load(tmp_path)


def test_a_folder_of_another_version_is_loaded_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    monkeypatch.setattr("sim.lab.saved.environment", lambda: {"quorumlab": "9.9"})
    with pytest.warns(UserWarning, match=r"saved by version .*, and this is 9\.9"):
        assert sim.load(tmp_path)


def test_a_system_of_ones_own_is_loaded_where_it_is_allowed(tmp_path: Path) -> None:
    run = Scenario(system=Mine(nodes=3), duration=1.0).run(seed=1)
    run.save(tmp_path)
    with pytest.raises(ValueError, match="allow it by name"):
        sim.load(tmp_path)
    back = sim.load(tmp_path, allow=(__name__,))
    assert isinstance(back, Run)
    check(back, run)


def test_results_of_an_unwritable_scenario_are_saved_with_the_reason(tmp_path: Path) -> None:
    system = MultiPrimary(conflicts="siblings", resolver=lambda values: max(values, key=str))
    Scenario(system=system, duration=1.0).run(seed=1).save(tmp_path)
    assert (tmp_path / "operations.csv").exists()
    with pytest.raises(ValueError, match=r"could not be written .* scenario\.system\.resolver"):
        sim.load(tmp_path)


def test_a_manifest_of_another_form_is_refused_with_the_versions(tmp_path: Path) -> None:
    run = Scenario(system=Raft(nodes=3), workload=ClosedLoop(clients=1), duration=0.5).run(seed=1)
    run.save(tmp_path)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["sha256"], manifest["runs"]
    manifest["sha256"] = saving._own_digest(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(
        ValueError, match=r"manifest.json has no entry 'runs': saved by quorumlab .*; run what"
    ):
        sim.load(tmp_path)
