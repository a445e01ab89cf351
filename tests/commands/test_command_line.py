"""The command: what it prints and writes; bad input is one line on standard error and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def sim(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "sim", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["frob"], "No such command 'frob'"),
        (["run"], "Missing argument 'SCRIPT'"),
        (["run", "nothing"], "there is no scenario script 'nothing'"),
        (["run", "paxos_duel", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["run", "paxos_duel", "--seed", "x"], "'x' is not a valid integer range"),
        (["run", "paxos_duel", "--set", "speed=1"], "a scenario has no field 'speed'"),
        (["run", "paxos_duel", "--set", "duration"], "'duration' is no setting"),
        (["run", "paxos_duel", "--set", "duration=-1"], "duration must be positive seconds, not -1"),
        (["run", "paxos_duel", "--set", "system.nodes=0"], "nodes must be an integer of at least 1, not 0"),
        (["run", "README.md"], "README.md is no Python script"),
        (["compare"], "Missing argument 'SYSTEMS...'"),
        (["compare", "Rafft"], "there is no system 'Rafft'"),
        (["compare", "Raft(nodes=0)"], "nodes must be an integer of at least 1, not 0"),
        (["compare", "Raft(3)"], "only keyword arguments"),
        (["compare", "Raft(nodes=three)"], "'Raft(nodes=three)': three is no literal value"),
        (["compare", "Raft(sise=3)"], "'Raft(sise=3)': Raft got an unexpected keyword argument 'sise'"),
        (["compare", "json:dumps"], "'json:dumps': dumps() missing 1 required positional argument"),
        (["compare", "Raft", "--out", "README.md"], "nothing can be written to 'README.md'"),
        (["compare", "Raft", "--out", "README.md/x"], "nothing can be written to 'README.md/x'"),
        (
            ["sweep", "paxos_duel", "--vary", "system.nodes=3", "--out", "README.md/x"],
            "nothing can be written to 'README.md/x'",
        ),
        (["compare", "Raft", "--set", "duration=long"], "duration must be a number, not 'long'"),
        (["compare", "Raft(nodes="], "'Raft(nodes=' is no system"),
        (["compare", "no.such.module:System"], "no.such.module cannot be imported"),
        (["compare", "Raft", "Raft"], "the same system is given twice: Raft"),
        (["compare", "Raft", "--seeds", "0"], "seeds must be at least 1"),
        (["sweep", "paxos_duel"], "Missing option '--vary'"),
        (["sweep", "paxos_duel", "--vary", "system.nodes"], "'system.nodes' varies nothing"),
        (["check", "no-such-file.jsonl", "--model", "register"], "no-such-file.jsonl"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], complaint: str) -> None:
    done = sim(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_help_and_every_subcommands_help_have_an_example() -> None:
    overview = sim("--help")
    assert overview.returncode == 0
    for name in ("run", "compare", "sweep", "list", "demo", "check"):
        assert name in overview.stdout
        assert "Usage: sim " + name in sim(name, "--help").stdout
    assert "sim run scenarios/raft_failover.py --seed 7" in overview.stdout


def test_list_shows_systems_networks_faults_and_scenarios() -> None:
    shown = sim("list").stdout
    for name in ("MultiPaxos", "wan", "ClosedLoop", "RandomPartitions", "scenarios/raft_failover.py"):
        assert name in shown


def test_run_tells_the_story_with_fields_changed(tmp_path: Path) -> None:
    clients = "workload.clients={'n0': 1, 'n2': 1}"
    out = tmp_path / "out"
    done = sim(
        *("run", "paxos_duel", "--seed", "3", "--set", clients, "--set", "system.nodes=3", "--out", str(out))
    )
    assert done.returncode == 0, done.stderr
    assert "median and longest of 50 duels" in done.stdout
    assert (tmp_path / "out" / "longest_duel.png").stat().st_size > 10_000
    assert set(pd.read_csv(tmp_path / "out" / "nodes.csv")["node"]) == {"n0", "n1", "n2", "c0", "c1"}


def test_run_without_a_story_judges_and_draws(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        '"""Plain."""\n'
        "from sim import Scenario\nfrom sim.network import constant\nfrom sim.protocols import Raft\n"
        "scenario = Scenario(system=Raft(nodes=3), network=constant(0.01), duration=3.0)\n"
    )
    done = sim("run", str(script), "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "linearizable: valid" in done.stdout
    assert "invariants: held after every event" in done.stdout
    assert (tmp_path / "results" / "plain" / "timeline.png").exists()


def test_sweep_writes_a_row_for_each_point_and_seed(tmp_path: Path) -> None:
    done = sim("sweep", "paxos_duel", "--vary", "system.patience=0.2,0.4", "--seeds", "2",
               "--workers", "1", "--out", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "sweep.csv")
    assert frame["system__patience"].tolist() == [0.2, 0.2, 0.4, 0.4]
    assert frame["seed"].tolist() == [0, 1, 0, 1]


def test_a_small_demo_prints_both_tables_and_writes_charts_and_frames(tmp_path: Path) -> None:
    done = sim("demo", "--seeds", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "2/2 valid" in done.stdout
    assert "round-robin" in done.stdout
    for name in (
        "failover/latency_cdf.png",
        "failover/timeline.png",
        "failover/operations.csv",
        "balancing/table.csv",
    ):
        assert (tmp_path / name).stat().st_size > 200
