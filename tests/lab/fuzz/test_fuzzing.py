"""`fuzz` finds mistakes, is silent where there are none, does the same with any number of workers, and resumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.lab.fuzz import Fuzzed, fuzz
from sim.lab.scenario import Scenario
from sim.lab.storm import draw_storm
from sim.protocols import BasicRaft
from sim.system import System
from tests.command import sim
from tests.lab.fuzz.mutants import Eager


def short(system: System, seed: int) -> Scenario:
    return draw_storm(system, seed, length=0.3)


def test_a_mistake_is_found_shrunk_and_told(tmp_path: Path) -> None:
    found = fuzz(Eager(), runs=16, storm=short, progress=None, workers=1)
    assert not found.ok
    find = found.finds[0]
    assert find.broken.invariant in found.text()
    assert find.faults <= 3
    assert find.operations <= 6
    assert "BROKEN" in find.story
    names = sorted(path.name for path in found.save(tmp_path))
    assert {Path(name).suffix for name in names} == {".json", ".txt", ".png"}


def test_a_search_that_keeps_going_makes_all_runs_and_has_each_invariant_once() -> None:
    stopped = fuzz(Eager(), runs=20, storm=short, progress=None, workers=1, shrinking=0.0)
    going = fuzz(Eager(), runs=20, storm=short, progress=None, workers=1, shrinking=0.0, keep_going=True)
    assert (stopped.runs, going.runs) == (16, 20)
    names = [find.broken.invariant for find in going.finds]
    assert {find.broken.invariant for find in stopped.finds} <= {*names}
    assert len({*names}) == len(names)


@pytest.fixture(scope="module")
def alone() -> Fuzzed:
    """Twenty runs of a system without a mistake, one after the other."""
    return fuzz(BasicRaft(nodes=3), runs=20, storm=short, progress=None, workers=1)


def test_nothing_is_found_where_nothing_breaks_and_the_coverage_is_printed(alone: Fuzzed) -> None:
    found = alone
    assert found.ok
    (first, few), (last, more) = found.growth
    assert (first, last) == (16, 20)
    assert 50 < few < more
    assert f"coverage: {few} after 16, {more} after 20 runs" in found.text()


def test_the_runs_do_not_depend_on_the_number_of_workers_and_a_store_gives_them_again(
    alone: Fuzzed, tmp_path: Path
) -> None:
    together = fuzz(BasicRaft(nodes=3), runs=20, storm=short, progress=None, workers=2, out=tmp_path)
    assert together.growth == alone.growth
    again = fuzz(
        BasicRaft(nodes=3), runs=20, storm=short, progress=None, workers=1, out=tmp_path, resume=True
    )
    assert again.growth == alone.growth


def test_another_seed_makes_other_runs() -> None:
    growth = [
        fuzz(BasicRaft(nodes=3), runs=2, seed=seed, storm=short, progress=None, workers=1).growth
        for seed in (0, 1)
    ]
    assert growth[0] != growth[1]


def test_the_command(tmp_path: Path) -> None:
    done = sim(
        "fuzz", "tests.lab.fuzz.mutants:Eager", "--runs", "4", "--workers", "1", "--out", str(tmp_path)
    )
    assert done.returncode == 1
    assert "shrunk in" in done.stdout
    files = sorted(path.suffix for path in tmp_path.iterdir() if path.name.startswith("1-"))
    assert files == [".json", ".png", ".txt"]
    replay = next(tmp_path.glob("*.json"))
    again = sim("replay", str(replay), "--allow-module", "tests.lab.fuzz.mutants")
    assert again.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fuzz", "Nonsense"), "Nonsense"),
        (("fuzz", "Raft", "--runs", "0"), "--runs"),
        (("fuzz", "Raft", "--time", "0"), "--time"),
        (("fuzz", "Raft", "--seed", "-1"), "--seed"),
        (("fuzz", "Raft", "--resume"), "--resume needs --out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = sim(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
