"""Replay files: the same breaks again, in another process and under another hash seed; and what `sim replay` says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.lab.fuzz.replaying import Replay, load_replay
from sim.lab.storm import draw_storm
from tests.command import ROOT, sim
from tests.lab.fuzz.mutants import Eager

ALLOWED = "tests.lab.fuzz.mutants"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = draw_storm(Eager(), 0, length=0.5)
    return Replay.of(scenario, 0).save(tmp_path_factory.mktemp("replays") / "eager.json")


def changed(file: Path, folder: Path, **values: object) -> Path:
    tree = json.loads(file.read_text())
    other = folder / "changed.json"
    other.write_text(json.dumps({**tree, **values}))
    return other


def test_the_same_breaks_again(file: Path) -> None:
    done = sim("replay", str(file), "--allow-module", ALLOWED)
    assert done.returncode == 1
    assert done.stdout.startswith("the same breaks again: ")
    assert done.stdout.count("\n") == 1  # neither version nor digest differ


def test_the_digest_is_the_same_in_another_process_and_under_another_hash_seed(file: Path) -> None:
    code = (
        "import sys; from sim.lab.fuzz.replaying import load_replay\n"
        f"found = load_replay(sys.argv[1], allow=({ALLOWED!r},)).play()\n"
        "print(found.played.run.digest(), *found.differences)"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", code, str(file)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert digests == [[load_replay(file, allow=(ALLOWED,)).digest]] * 2


def test_nothing_breaks(file: Path, tmp_path: Path) -> None:
    scenario = json.loads(file.read_text())["scenario"]
    other = changed(file, tmp_path, scenario={**scenario, "system": {"class": "BasicRaft", "nodes": 3}})
    done = sim("replay", str(other), "--allow-module", ALLOWED)
    assert done.returncode == 0
    assert done.stdout.startswith("nothing breaks; when the file was made, this did: ")
    assert "the run is another one" in done.stdout


def test_something_else_breaks(file: Path, tmp_path: Path) -> None:
    broken = json.loads(file.read_text())["broken"]
    other = changed(file, tmp_path, broken={**broken, "invariant": "another one"}, version="0.0.1")
    done = sim("replay", str(other), "--allow-module", ALLOWED)
    assert done.returncode == 3
    assert done.stdout.startswith("something else breaks: ")
    assert "the file was made by 0.0.1" in done.stdout


def test_what_cannot_be_played_as_written(file: Path, tmp_path: Path) -> None:
    done = sim("replay", str(file))
    assert done.returncode == 3
    assert "cannot be played as it is written" in done.stderr
    assert "--allow-module" in done.stderr
    scenario = json.loads(file.read_text())["scenario"]
    other = changed(file, tmp_path, scenario={**scenario, "colour": "red"})
    done = sim("replay", str(other), "--allow-module", ALLOWED)
    assert done.returncode == 3
    assert "has no field 'colour'" in done.stderr
    stall = {"class": "Strike", "acts": [{"verb": "stall_disk", "on": ["n0", True]}], "at": 0.0}
    other = changed(
        file, tmp_path, scenario={**scenario, "faults": [stall], "machines": {"class": "Machine"}}
    )
    done = sim("replay", str(other), "--allow-module", ALLOWED)
    assert done.returncode == 3
    assert "the disk of n0 takes no time" in done.stderr


def test_a_trigger_that_is_not_reached_any_more_is_named(file: Path, tmp_path: Path) -> None:
    scenario = json.loads(file.read_text())["scenario"]
    late = {"class": "OnEvent", "event": "crash", "nth": 400}
    never = {"class": "Strike", "acts": [{"verb": "crash", "on": ["n0"]}], "at": late}
    correct = {**scenario, "faults": [never], "system": {"class": "BasicRaft", "nodes": 3}}
    done = sim("replay", str(changed(file, tmp_path, scenario=correct)), "--allow-module", ALLOWED)
    assert done.returncode == 3
    assert done.stdout.startswith("the schedule cannot be played as it is written; ")
    assert "its trigger OnEvent(nth=400, delay=0.0, event='crash', node=None) is not reached" in done.stdout
    known = changed(file, tmp_path, scenario=correct, unreached=[late])  # it was not reached then, either
    assert sim("replay", str(known), "--allow-module", ALLOWED).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "this is no JSON"),
        ("{}", "is no replay file of form 1"),
        ('{"replay": 1}', "it has no 'broken'"),
    ],
)
def test_no_readable_file(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "some.json"
    if text is not None:
        file.write_text(text)
    done = sim("replay", str(file))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_story_and_the_chart_of_a_replay(file: Path, tmp_path: Path) -> None:
    chart = tmp_path / "eager.svg"
    done = sim("replay", str(file), "--allow-module", ALLOWED, "--story", "--plot", str(chart))
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["time", "(s)", "n0", "n1", "n2"]
    assert any(line.startswith("BROKEN") for line in lines)
    assert chart.stat().st_size > 10_000
