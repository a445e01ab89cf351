"""`sim sweep`, `sim compare`: results are kept as they come, and gone on with; failed runs show in the exit code."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main

SCRIPT = '''
"""Quick, and slow where its file says so."""
import time
from pathlib import Path
from sim import Scenario
from sim.network import constant
from sim.protocols import Raft

HERE = Path(__file__).parent


class Odd(Raft):
    def invariants(self):
        if self.nodes == 5 and (HERE / "fails").exists():
            raise RuntimeError("five is unlucky")
        while self.nodes == 5 and (HERE / "hangs").exists():
            time.sleep(1)
        return super().invariants()


scenario = Scenario(system=Odd(nodes=3), network=constant(0.001), duration=0.3, check=True)
'''

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``call("sweep", ...)`` runs the command in this process: its exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.py").write_text(SCRIPT)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err.split("\r")[-1].strip()

    return run


def count(folder: Path) -> int:
    connection = sqlite3.connect(folder / "results.sqlite")
    found: int = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    connection.close()
    return found


QUICK = ("sweep", "quick.py", "--vary", "system.nodes=3,5", "--workers", "1", "--out", "kept")


def test_a_sweep_is_kept_and_gone_on_with(call: Call, tmp_path: Path) -> None:
    assert call(*QUICK, "--seeds", "1")[0] == 0
    code, _, complaint = call(*QUICK, "--seeds", "1")
    assert code == 2
    assert complaint == (
        "sim: kept has the results of 2 runs: go on with them by --resume (resume=True), or choose another folder"
    )
    code, said, _ = call(*QUICK, "--seeds", "2", "--resume")
    assert code == 0
    assert "2/2 valid" in said
    assert count(tmp_path / "kept") == 4
    assert len(pd.read_csv(tmp_path / "kept" / "sweep.csv")) == 4
    assert not (tmp_path / "kept" / "operations.csv").exists()
    assert call(*QUICK, "--seeds", "2", "--resume", "--frames")[0] == 0
    assert (tmp_path / "kept" / "operations.csv").exists()


def test_without_a_folder_each_sweep_gets_a_new_one(call: Call, tmp_path: Path) -> None:
    for name in ("sweep", "sweep-2"):
        code, said, _ = call(
            "sweep", "quick.py", "--vary", "system.nodes=3", "--seeds", "1", "--workers", "1"
        )
        assert code == 0
        assert said.strip().endswith(f"results: results/{name}")
        assert count(tmp_path / "results" / name) == 1


@pytest.mark.parametrize(
    ("what", "reason"), [("fails", "RuntimeError: five is unlucky"), ("hangs", "it took longer than 2 s")]
)
def test_a_run_that_fails_or_hangs_costs_its_row_and_the_exit_code(
    call: Call, tmp_path: Path, what: str, reason: str
) -> None:
    (tmp_path / what).touch()
    code, said, _ = call(*QUICK, "--seeds", "1", "--run-timeout", "2")
    assert code == 1
    assert f"FAILED: Odd, system.nodes=5, seed 0: {reason}" in said
    assert "1 FAILED" in said
    assert pd.read_csv(tmp_path / "kept" / "failures.csv")["error"].tolist() == [reason]
    (tmp_path / what).unlink()
    code, said, _ = call(*QUICK, "--seeds", "1", "--resume")
    assert code == 0
    assert "FAILED" not in said


def test_what_fails_in_each_run_is_one_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    code, _, said = call("sweep", "quick.py", "--vary", "system.nodes=5", "--seeds", "2", "--workers", "2")
    assert code == 2
    assert "RuntimeError: five is unlucky" in said
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--resume",), "--resume needs --out: the folder with the results to go on with"),
        (("--resume", "--out", "nowhere"), "--resume: there is no results.sqlite in 'nowhere' to go on with"),
        (("--run-timeout", "0"), "Invalid value for '--run-timeout': 0.0 is not in the range x>0."),
        (("--memory-limit", "-3"), "Invalid value for '--memory-limit': -3.0 is not in the range x>0."),
        (
            ("--dask", "tcp://127.0.0.1:1", "--workers", "2"),
            "--workers is for processes of this machine, and --dask has",
        ),
        (
            ("--dask", "tcp://127.0.0.1:1", "--run-timeout", "2"),
            "--run-timeout is for processes of this machine",
        ),
        (("--dask", "foo"), "--dask foo: a scheduler's address is tcp://host:8786 (or tls://)"),
        (("--dask", "tcp://127.0.0.1:1"), "no Dask scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.setattr("sim.lab.work.cluster._CONNECT", 0.2)
    code, _, said = call("sweep", "quick.py", "--vary", "system.nodes=3", *arguments)
    assert code == 2
    assert complaint in said
    assert said.count("\n") == 0


def test_a_folder_with_something_else_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "results.sqlite").write_text("seed,p50\n")
    for more in ((), ("--resume",)):
        code, _, said = call(*QUICK, *more)
        assert code == 2
        assert said == (
            "sim: kept/results.sqlite is no store of results: it does not begin as an SQLite file does"
        )


SLOW = SCRIPT.replace("duration=0.3", "duration=2.0")


def test_ctrl_c_keeps_what_has_finished_and_says_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "sim", "sweep", "slow.py", "--vary", "system.nodes=3,5", "--seeds", "20",
               "--workers", "2", "--out", "kept"]  # fmt: skip
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if count(tmp_path / "kept") >= 2:
                break
        except sqlite3.OperationalError:
            pass
        time.sleep(0.05)
    begun = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    _, complaints = running.communicate(timeout=30)
    took = time.monotonic() - begun
    assert running.returncode == 130
    kept = count(tmp_path / "kept")
    assert kept >= 2
    assert complaints.strip().splitlines()[-1] == (
        f"sim: interrupted: {kept} of 40 runs finished and are kept in kept; go on with --resume (resume=True)"
    )
    assert took < 2.0


def test_how_far_a_sweep_is_and_its_runs_as_a_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    assert call(*QUICK, "--seeds", "1")[0] == 1
    code, said, _ = call("results", "kept", "--to", "runs.csv")
    assert code == 0
    assert said.splitlines() == [
        "sweep over system.nodes: 1 of 2 runs finished, 1 failed",
        "FAILED: Odd, seed 0: RuntimeError: five is unlucky",
        "runs: runs.csv",
    ]
    assert pd.read_csv(tmp_path / "runs.csv")["status"].tolist() == ["ok", "failed"]
    assert call("results", "nowhere")[::2] == (2, "sim: there is no results.sqlite in 'nowhere'")
    assert call("results", "kept", "--to", "runs.xlsx")[0] == 2
