"""`sim frontier`: from a folder of results to the settings between which the choice is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim import Scenario, sweep
from sim.faults import Crash
from sim.network import constant
from sim.protocols import Raft
from sim.workload import OpenLoop
from tests.command import sim


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("saved")
    scenario = Scenario(
        system=Raft(nodes=3), network=constant(0.005), workload=OpenLoop(rate=40.0),
        faults=[Crash("leader", at=1.0)], duration=6.0,
    )  # fmt: skip
    done = sweep(scenario, {"system.detection": [0.2, 1.5]}, seeds=5, workers=1, progress=None)
    done.save(home / "sweep")
    done.runs[0].save(home / "run")
    return home


def test_what_is_surely_worse_is_named_with_what_beats_it(saved: Path, tmp_path: Path) -> None:
    chart = tmp_path / "frontier.png"
    done = sim("frontier", "sweep", "unavailability", "p99", "--chart", str(chart), cwd=saved)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line for line in done.stdout.splitlines() if line.startswith("detection")]
    assert [row.split()[2] for row in rows] == ["frontier", "dominated"]
    assert rows[1].count("detection 0.2") == 1
    assert "detection 1.5" in rows[1]
    assert chart.stat().st_size > 10_000


def test_advice_is_of_the_measures_that_are_named(saved: Path) -> None:
    done = sim("frontier", "sweep", "unavailability", "p99", "--advice", cwd=saved)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("advice:\n")[1].splitlines()
    assert "detection 0.2 is never worse than detection 1.5: better in unavailability" in said[0]
    assert "messages" not in said[0]


def test_the_way_of_a_measure_can_be_told(saved: Path) -> None:
    done = sim("frontier", "sweep", "unavailability", "queue_max", "--better", "queue_max=lower", cwd=saved)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["none", "p50", "p99"], "'none' does not exist"),
        (["."], "Missing argument 'MEASURES...'"),
        ([".", "p50", "p99"], "nothing to load in '.'"),
        (["run", "p50", "p99"], "'run' holds one run; a frontier needs a sweep or a comparison"),
        (["sweep", "p50"], "a frontier needs at least two measures"),
        (["sweep", "p50", "p50"], "the measure 'p50' is given twice"),
        (["sweep", "p50", "speed"], "there is no measure 'speed'; the runs have"),
        (["sweep", "p50", "queue_max"], "whether less or more of 'queue_max' is better is not known"),
        (["sweep", "p50", "p99", "--better", "p50=up"], "--better takes MEASURE=lower or MEASURE=higher"),
        (["sweep", "p50", "p99", "--better", "queue_max=lower"], "'queue_max' is none of the measures"),
        (["sweep", "p50", "p99", "--log"], "--log has no effect without --chart"),
        (["sweep", "p50", "p99", "--chart", "x.zzz"], "'x.zzz' is no chart file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(saved: Path, arguments: list[str], complaint: str) -> None:
    done = sim("frontier", *arguments, cwd=saved)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
