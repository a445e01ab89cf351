"""A store is read by what reads SQLite, and exported; nothing that a user opens is unpickled or evaluated."""

from __future__ import annotations

import ast
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

import sim
from sim import Scenario
from sim.lab.run import Run
from sim.lab.store import FILE, StoreError, export, progress, results
from sim.lab.version import _source_digest, refuse_other_code, version
from sim.network import constant
from sim.protocols import PrimaryBackup, Raft

ROOT = Path(__file__).resolve().parents[3]
SCENARIO = Scenario(system=Raft(nodes=3), network=constant(0.001), duration=0.3)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep of four runs, of which one failed, and two runs more of another grid."""
    run = Scenario.run

    def unlucky(self: Scenario, seed: int = 0) -> Run:
        if seed == 1 and isinstance(self.system, PrimaryBackup):
            raise RuntimeError("no luck")
        return run(self, seed)

    with monkeypatch.context() as patched:
        patched.setattr(Scenario, "run", unlucky)
        SCENARIO.sweep(
            system=[Raft(nodes=3), PrimaryBackup()], seeds=2, workers=1, progress=None, out=tmp_path
        )
    SCENARIO.sweep(duration=[0.2], seeds=2, workers=1, progress=None, out=tmp_path, resume=True)
    return tmp_path


def test_the_runs_are_a_frame_with_fields_and_measures(kept: Path) -> None:
    found = results(kept)
    assert found["run"].tolist() == [
        "Raft",
        "Raft",
        "Primary-Backup",
        "Primary-Backup",
        "Raft, 3 nodes",
        "Raft, 3 nodes",
    ]
    assert found["system"].tolist()[:4] == found["run"].tolist()[:4]
    assert found["duration"].tolist()[4:] == [0.2, 0.2]
    assert found["status"].tolist() == ["ok", "ok", "ok", "failed", "ok", "ok"]
    assert found["error"].tolist()[3] == "RuntimeError: no luck"
    assert found["verdict"].tolist()[:3] == ["valid"] * 3
    assert set(found["version"]) == {version()}
    done = SCENARIO.sweep(duration=[0.2], seeds=2, workers=1, progress=None)
    for measure, values in done.summaries.drop(columns=["duration", "run", "seed"]).items():
        assert found[measure].tolist()[4:] == pytest.approx(values.tolist(), rel=0, abs=0, nan_ok=True)


def test_how_far_each_grid_is_can_be_asked(kept: Path) -> None:
    assert [str(grid) for grid in progress(kept)] == [
        "sweep over system: 3 of 4 runs finished, 1 failed",
        "sweep over duration: 2 of 2 runs finished",
    ]


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet"])
def test_the_runs_are_exported(kept: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    file = export(kept, kept / name)
    read = pd.read_csv(file) if name.endswith("csv") else pd.read_parquet(file)
    whole = results(kept)
    assert read["p50"].tolist() == pytest.approx(whole["p50"].tolist(), nan_ok=True)
    assert read["run"].tolist() == whole["run"].tolist()


def test_parquet_without_pyarrow_is_refused_in_one_line(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.analysis.store.has_parquet", lambda: False)
    with pytest.raises(
        ValueError, match=r"'runs.parquet': Parquet needs pyarrow \(pip install quorumlab\[parquet\]\)"
    ):
        export(kept, kept / "runs.parquet")
    with pytest.raises(ValueError, match=r"frames are written as .csv or .parquet, not 'runs.xlsx'"):
        export(kept, kept / "runs.xlsx")


def test_plain_sql_reads_it(kept: Path) -> None:
    """The query of docs/sweeps.md."""
    connection = sqlite3.connect(kept / FILE)
    found = pd.read_sql(
        "SELECT label, json_extract(point, '$.system') AS system, seed, status, p50 "
        "FROM runs JOIN points USING (key, seed) WHERE status = 'ok'",
        connection,
    )
    connection.close()
    assert found["label"].tolist() == ["Raft", "Raft", "Primary-Backup", "Raft, 3 nodes", "Raft, 3 nodes"]
    assert found["p50"].notna().all()


def test_where_nothing_is_that_is_said(tmp_path: Path) -> None:
    for read in (results, progress):
        with pytest.raises(StoreError, match=r"there is no results.sqlite in"):
            read(tmp_path)


def test_an_unfinished_sweep_is_not_loaded_but_says_how_far_it_is(kept: Path) -> None:
    with pytest.raises(
        ValueError, match=r"nothing to load in .* yet \(sweep over system: 3 of 4 .*go on with --resume"
    ):
        sim.load(kept)


def test_the_store_unpickles_and_evaluates_nothing() -> None:
    for path in sorted((ROOT / "sim" / "lab" / "store").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            assert not {"pickle", "cloudpickle", "marshal", "shelve"} & set(names), path
            assert not (isinstance(node, ast.Name) and node.id in {"eval", "exec", "compile"}), path


def test_a_worker_with_other_sources_refuses_the_run() -> None:
    refuse_other_code({"sim": version(), "not_loaded_here": "123"})
    with pytest.raises(RuntimeError, match="the sources of sim differ between processes: a worker has"):
        refuse_other_code({"sim": "0.0+other"})
    with pytest.raises(RuntimeError, match="the sources of cloudpickle differ between processes"):
        refuse_other_code({"sim": version(), "cloudpickle": "other"})


def test_a_compiled_module_is_another_version_only_where_its_source_is_not_there(tmp_path: Path) -> None:
    """Wheels for several Pythons, or a build in place, don't make another version of the same sources."""
    (tmp_path / "x.py").write_text("", encoding="utf-8")
    source, built = tmp_path / "_x.pyx", tmp_path / "_x.cpython-311-x86_64-linux-gnu.so"
    source.write_text("one", encoding="utf-8")
    digests = [_source_digest(tmp_path)]
    built.write_bytes(b"one")
    digests.append(_source_digest(tmp_path))
    source.write_text("another", encoding="utf-8")
    digests.append(_source_digest(tmp_path))
    source.unlink()
    digests.append(_source_digest(tmp_path))
    built.write_bytes(b"another")
    digests.append(_source_digest(tmp_path))
    assert digests[0] == digests[1]
    assert len(dict.fromkeys(digests)) == 4
