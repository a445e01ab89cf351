"""`sim calibrate`: wrong arguments are one line and exit code 2, before any run. Its use: the page on own data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import sim

SCRIPT = """\
from sim import Scenario
from sim.protocols import Raft

scenario = Scenario(system=Raft(nodes=1), duration=0.5)
"""
CURVE = "offered,p50_ms\n10,5\n20,5\n30,5\n40,5\n50,5\n60,5\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--measured'"),
        (["--measured", "none.csv"], "none.csv"),
        (["--measured", "short.csv"], "at least 4 points are needed, not 2"),
        (["--measured", "curve.csv", "--out", "here.json"], "must end in .toml"),
        (["--measured", "curve.csv", "--out", "there.toml"], "is there already"),
        (["--measured", "curve.csv", "--parameter", "fsnc"], "there is no parameter 'fsnc'"),
        (["--measured", "curve.csv", "--seeds", "1"], "at least two seeds are needed"),
        (["--measured", "curve.csv", "--set", "workload.rat=1"], "has no field 'rat'"),
        (["--measured", "curve.csv", "--load", "NoLoad()"], "must be an OpenLoop"),
        (["--measured", "curve.csv", "--allow-module", "x"], "has no effect"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line_and_exit_code_2(
    tmp_path: Path, options: list[str], message: str
) -> None:
    (tmp_path / "bench.py").write_text(SCRIPT)
    (tmp_path / "curve.csv").write_text(CURVE)
    (tmp_path / "short.csv").write_text("offered,p50_ms\n10,5\n20,5\n")
    (tmp_path / "there.toml").write_text("")
    done = sim("calibrate", "bench.py", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
