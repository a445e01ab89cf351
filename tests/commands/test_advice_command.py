"""`--advice` of `sim sweep` and `sim compare`: sentences where intervals leave no doubt, else why there are none."""

from __future__ import annotations

from pathlib import Path

from sim import Scenario
from sim.network import constant
from sim.protocols import Raft
from sim.workload import OpenLoop
from tests.command import sim


def test_advice_is_printed_where_it_is_asked_for_and_says_why_there_is_none(tmp_path: Path) -> None:
    scenario = Scenario(
        system=Raft(nodes=3), network=constant(0.005), workload=OpenLoop(rate=40.0), duration=1.0
    )
    (tmp_path / "quiet.toml").write_text(scenario.to_toml(), encoding="utf-8")
    vary = ("sweep", "quiet.toml", "--vary", "system.nodes=3,5", "--workers", "1")
    done = sim(*vary, "--seeds", "5", "--advice", "--out", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\nadvice:" in done.stdout
    done = sim(*vary, "--seeds", "1", "--advice", "--out", "b", cwd=tmp_path)
    assert "\nadvice: none: intervals overlap, or there are fewer than 5 seeds of each setting" in done.stdout
    done = sim(*vary, "--seeds", "1", "--out", "c", cwd=tmp_path)
    assert "advice" not in done.stdout
    systems = ("compare", "Raft(nodes=3)", "Raft(nodes=5)", "--scenario", "quiet.toml", "--workers", "1")
    done = sim(*systems, "--seeds", "1", "--advice", "--out", "d", cwd=tmp_path)
    assert "\nadvice: none:" in done.stdout
