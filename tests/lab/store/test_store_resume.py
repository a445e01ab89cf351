"""A sweep that stopped is resumed: no run is lost, none is stored twice, and changed ones are run again."""

from __future__ import annotations

import importlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sim
from sim import Scenario, compare
from sim.lab.jobs import RunTask
from sim.lab.run import Run
from sim.lab.store import RunKeys
from sim.lab.sweep import Sweep
from sim.network import constant
from sim.protocols import PrimaryBackup, Raft
from sim.workload import ClosedLoop, UniformKeys


def scenario(**changes: Any) -> Scenario:
    return Scenario(
        **{
            "system": Raft(nodes=3),
            "network": constant(0.001),
            "workload": ClosedLoop(clients=1, keys=UniformKeys(2)),
            "duration": 0.1,
            **changes,
        }
    )


def swept(out: Path | None, seeds: int = 3, of: Scenario | None = None, **work: Any) -> Sweep:
    chosen = scenario() if of is None else of
    return chosen.sweep(
        workload__clients=[1, 2], seeds=seeds, judge=False, workers=1, progress=None, out=out, **work
    )


def rows(out: Path) -> pd.DataFrame:
    connection = sqlite3.connect(out / "results.sqlite")
    found = pd.read_sql("SELECT * FROM runs ORDER BY rowid", connection)
    connection.close()
    return found


def assert_same(one: Sweep, other: Sweep) -> None:
    """The same frames and digests."""
    assert [run.digest() for run in one.runs] == [run.digest() for run in other.runs]
    pd.testing.assert_frame_equal(one.summaries, other.summaries)
    pd.testing.assert_frame_equal(one.table(), other.table())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the runs that are made, in this process."""
    seeds: list[int] = []
    run = Scenario.run

    def counted(self: Scenario, seed: int = 0) -> Run:
        seeds.append(seed)
        return run(self, seed)

    monkeypatch.setattr(Scenario, "run", counted)
    return seeds


def test_a_stored_sweep_equals_one_in_memory(tmp_path: Path) -> None:
    assert_same(swept(tmp_path), swept(None))


def test_resume_makes_only_what_is_missing(tmp_path: Path, made: list[int]) -> None:
    swept(tmp_path, seeds=2)
    before = rows(tmp_path)
    made.clear()
    done = swept(tmp_path, seeds=4, resume=True)
    assert made == [2, 3, 2, 3]
    pd.testing.assert_frame_equal(rows(tmp_path).iloc[:4], before)
    made.clear()
    assert_same(swept(tmp_path, seeds=4, resume=True), done)
    assert made == []
    assert_same(done, swept(None, seeds=4))
    assert len(rows(tmp_path)) == 8


def test_results_that_are_there_are_not_mixed_up_without_resume(tmp_path: Path) -> None:
    swept(tmp_path, seeds=1)
    with pytest.raises(
        ValueError, match=r"has the results of 2 runs: go on with them by --resume .* or choose another"
    ):
        swept(tmp_path, seeds=1)
    with pytest.raises(ValueError, match="resume=True needs out=: the folder"):
        swept(None, resume=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"duration": 0.2},
        {"check": True},
        {"system": Raft(nodes=3, pre_vote=True)},
        {"workload": ClosedLoop(clients=1, keys=UniformKeys(3))},
    ],
)
def test_a_changed_scenario_is_made_again_and_the_old_rows_stay_apart(
    tmp_path: Path, made: list[int], changed: dict[str, Any]
) -> None:
    swept(tmp_path, seeds=1)
    old = rows(tmp_path)
    made.clear()
    done = swept(tmp_path, seeds=1, of=scenario(**changed), resume=True)
    assert made == [0, 0]
    new = rows(tmp_path)
    pd.testing.assert_frame_equal(new.iloc[:2], old)
    assert new["key"].nunique() == 4
    assert_same(done, swept(None, seeds=1, of=scenario(**changed)))


def test_another_version_is_made_again(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(tmp_path, seeds=1)
    made.clear()
    for module in ("sim.lab.store.keys", "sim.lab.version"):
        monkeypatch.setattr(f"{module}.version", lambda: "0.1.0+another")
    swept(tmp_path, seeds=1, resume=True)
    assert made == [0, 0]
    assert rows(tmp_path)["key"].nunique() == 4


OWN = """
from dataclasses import dataclass
from helpers_of_mine import NODES
from sim.protocols import Raft


@dataclass(frozen=True, kw_only=True)
class Mine(Raft):
    nodes: int = NODES
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a system of one's own, and a module that it uses."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "system_of_mine.py").write_text(OWN)
    (folder / "helpers_of_mine.py").write_text("NODES = 3\n")
    monkeypatch.syspath_prepend(str(folder))
    for name in ("system_of_mine", "helpers_of_mine"):
        sys.modules.pop(name, None)
    return folder


@pytest.mark.parametrize(
    ("file", "line"), [("system_of_mine.py", "LATER = 1\n"), ("helpers_of_mine.py", "\nNODES = 3  # \n")]
)
def test_the_sources_of_a_system_of_ones_own_are_part_of_its_key(own: Path, file: str, line: str) -> None:
    def key() -> str:
        for name in ("helpers_of_mine", "system_of_mine"):
            importlib.reload(importlib.import_module(name))
        return RunKeys().of(RunTask(scenario(system=importlib.import_module("system_of_mine").Mine()), 0))

    before = key()
    assert key() == before
    with (own / file).open("a") as opened:
        opened.write(line)
    assert key() != before


def test_a_system_without_a_source_that_lasts_is_not_resumed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from dataclasses import dataclass\n"
        "from sim import Scenario\n"
        "from sim.protocols import Raft\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(Raft):\n"
        "    pass\n"
        "mine = Scenario(system=Mine(nodes=3), duration=0.1)\n"
        "for resume in (False, True):\n"
        "    mine.sweep(duration=[0.1], out='results', resume=resume, workers=1, progress=None)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (
        "ValueError: resume needs systems whose source is a file: __main__ has none that lasts" in done.stderr
    )
    assert len(rows(tmp_path / "results")) == 1  # what asks for no resume is kept all the same


def test_a_class_inside_a_function_is_not_resumed(tmp_path: Path) -> None:
    class Local(Raft):
        pass

    mine = scenario(system=Local(nodes=3))
    with pytest.raises(
        ValueError, match=r"resume needs a scenario with a written form: .*Local cannot be imported"
    ):
        swept(tmp_path, of=mine, resume=True)


def test_frames_are_kept_on_request_and_made_again_otherwise(tmp_path: Path, made: list[int]) -> None:
    kept, bare = swept(tmp_path / "a", seeds=1, frames=True), swept(tmp_path / "b", seeds=1)
    whole = swept(None, seeds=1, frames=True)
    made.clear()
    assert [run.has_frames for run in (*kept.runs, *bare.runs)] == [True, True, False, False]
    for name, frame in whole.frames.items():
        pd.testing.assert_frame_equal(kept.frames[name], frame)
    assert made == []
    for name, frame in whole.frames.items():
        pd.testing.assert_frame_equal(bare.frames[name], frame)
    assert made == [0, 0]


def test_what_sketches_tell_needs_no_run_again(tmp_path: Path, made: list[int]) -> None:
    kept, whole = swept(tmp_path, seeds=2), swept(None, seeds=2)
    kept.save(tmp_path)
    loaded = sim.load(tmp_path)
    assert isinstance(loaded, Sweep)
    made.clear()
    pd.testing.assert_frame_equal(kept.pooled(), whole.pooled())
    pd.testing.assert_frame_equal(loaded.pooled(), whole.pooled())
    assert made == []


def test_resume_with_frames_makes_runs_again_that_have_none(tmp_path: Path, made: list[int]) -> None:
    swept(tmp_path, seeds=1)
    made.clear()
    assert all(run.has_frames for run in swept(tmp_path, seeds=1, resume=True, frames=True).runs)
    assert made == [0, 0]
    assert len(rows(tmp_path)) == 2


def test_frames_that_code_of_another_day_would_make_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = swept(tmp_path, seeds=1)
    monkeypatch.setattr(Run, "digest", lambda self: "another")
    with pytest.raises(ValueError, match=r"running it again gives another run .* the code has changed since"):
        _ = bare.runs[0].operations


def test_a_comparison_goes_on_too(tmp_path: Path, made: list[int]) -> None:
    systems = [Raft(nodes=3), PrimaryBackup(nodes=3)]

    def compared(seeds: int, out: Path | None, resume: bool = False) -> sim.Comparison:
        return compare(systems, scenario(), seeds=seeds, workers=1, progress=None, out=out, resume=resume)

    compared(1, tmp_path)
    made.clear()
    done, whole = compared(2, tmp_path, resume=True), compared(2, None)
    assert made == [1, 1, 0, 1, 0, 1]
    assert [run.digest() for run in done.runs] == [run.digest() for run in whole.runs]
    assert done.text() == whole.text()
    pd.testing.assert_frame_equal(done.operations, whole.operations)
    pd.testing.assert_frame_equal(done.table(), whole.table())


def test_a_run_that_failed_is_a_row_with_the_reason_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Scenario.run

    def unlucky(self: Scenario, seed: int = 0) -> Run:
        if seed == 1 and self.workload.clients == 2:
            raise RuntimeError("no luck")
        return run(self, seed)

    with monkeypatch.context() as patched:
        patched.setattr(Scenario, "run", unlucky)
        done = swept(tmp_path)
    assert [str(failed) for failed in done.failed] == [
        "FAILED: Raft, 3 nodes, workload.clients=2, seed 1: RuntimeError: no luck"
    ]
    assert done.table()["checked"].tolist() == ["not checked", "not checked, 1 FAILED"]
    assert str(done.failed[0]) in done.text()
    assert done.frames["failures"]["error"].tolist() == ["RuntimeError: no luck"]
    found = rows(tmp_path)
    assert found[found["status"] == "failed"][["seed", "error"]].values.tolist() == [
        [1, "RuntimeError: no luck"]
    ]
    done.save(tmp_path)
    loaded = sim.load(tmp_path)
    assert isinstance(loaded, Sweep)
    assert [str(failed) for failed in loaded.failed] == [str(failed) for failed in done.failed]
    again = swept(tmp_path, resume=True)
    assert again.failed == ()
    assert_same(again, swept(None))


def test_what_fails_everywhere_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(self: Scenario, seed: int = 0) -> Run:
        raise RuntimeError(f"no luck with {seed}")

    monkeypatch.setattr(Scenario, "run", unlucky)
    with pytest.raises(RuntimeError, match="no luck with 0"):
        swept(None)


def test_a_point_where_all_runs_failed_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Scenario.run

    def unlucky(self: Scenario, seed: int = 0) -> Run:
        if self.workload.clients == 2 or isinstance(self.system, PrimaryBackup):
            raise RuntimeError("no luck")
        return run(self, seed)

    monkeypatch.setattr(Scenario, "run", unlucky)
    table = swept(None).table()
    assert table["workload__clients"].tolist() == [1, 2]
    assert table["seeds"].tolist() == [3, 0]
    assert table["checked"].tolist() == ["not checked", "not checked, 3 FAILED"]
    systems = [Raft(nodes=3), PrimaryBackup(nodes=3)]
    compared = compare(systems, scenario(), seeds=1, workers=1, progress=None)
    assert compared.table()["seeds"].tolist() == [1, 0]
    assert "1 FAILED" in compared.text()
