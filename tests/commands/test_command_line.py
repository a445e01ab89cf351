"""The command: what it prints and writes; bad input is one line on standard error and exit code 2."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.command import ROOT, sim


def sim_process(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command as users start it."""
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
        (["compare", "Raft(application=Bank)"], "'Raft(application=Bank)': Bank is no literal value"),
        (["compare", "Craq(application=Bank())"], "Craq takes no application (Bank()): every server answers"),
        (["compare", "Raft(sise=3)"], "'Raft(sise=3)': Raft got an unexpected keyword argument 'sise'"),
        (["compare", "json:dumps"], "json:dumps is no system (a class derived from sim.System)"),
        (
            ["compare", "builtins:breakpoint"],
            "builtins:breakpoint is no system (a class derived from sim.System)",
        ),
        (["compare", "Raft", "--set", "faults=foo"], "faults must be a tuple of values, not 'foo'"),
        (["compare", "Raft", "--set", "duration=3", "--set", "duration=5"], "duration is given twice"),
        (["compare", "Raft", "--set", "workload.reads=1", "--set", "workload=NoLoad()"], "which undoes it"),
        (["sweep", "paxos_duel", "--vary", "duration=3", "--vary", "duration=5"], "duration is given twice"),
        (["sweep", "paxos_duel", "--set", "duration=3", "--vary", "duration=3,5"], "duration is given twice"),
        (["sweep", "paxos_duel", "--vary", "duration=3,,5"], "a value is missing beside a comma"),
        (["sweep", "paxos_duel", "--vary", "system=Raft(nodes=3"], "'(' is not closed"),
        (["compare", "Raft", "--out", "README.md"], "nothing can be written to 'README.md'"),
        (["compare", "Raft", "--out", "README.md/x"], "nothing can be written to 'README.md/x'"),
        (
            ["sweep", "paxos_duel", "--vary", "system.nodes=3", "--out", "README.md/x"],
            "nothing can be written to 'README.md/x'",
        ),
        (["compare", "Raft", "--set", "duration=long"], "duration must be a number, not 'long'"),
        (["compare", "Raft(nodes="], "'Raft(nodes=' is no system"),
        (["compare", "no.such.module:System"], "no.such.module cannot be imported"),
        (
            ["compare", "Raft", "EPaxos", "--baseline", "Mencius"],
            "--baseline Mencius is none of the systems compared: Raft, EPaxos",
        ),
        (
            ["compare", "Raft", "--precision", "2%"],
            "--precision takes a fraction such as 0.02, or p50=0.02, not '2%'",
        ),
        (
            ["compare", "Raft", "--precision", "2"],
            "precision is a fraction of the mean, such as 0.02 for ± 2 %, not 2",
        ),
        (["compare", "Raft", "--max-seeds", "9"], "max_seeds=9 bounds the seeds that precision= adds"),
        (
            ["sweep", "paxos_duel", "--vary", "duration=3", "--precision", ".1", "--precision", ".2"],
            "no measure",
        ),
        (["reproduce", "no-such-file.png"], "'no-such-file.png' does not exist"),
        (["reproduce", "README.md"], "'README.md' is none of a picture"),
        (
            ["reproduce", "README.md", "--draw"],
            "--draw draws the figures of a paper.toml, and 'README.md' is none",
        ),
        (["reproduce", "examples/paper/paper.toml"], "latency_by_region.pdf cannot be read: No such file"),
        (
            ["reproduce", "examples/paper/paper.toml", "--allow-module", "x"],
            "a paper names its modules itself",
        ),
        (["new", "book", "x"], "'book' is not one of 'paper', 'protocol'"),
        (["new", "paper", "docs"], "'docs' is not empty"),
        (["compare", "Raft", "Raft"], "the same system is given twice: Raft"),
        (["compare", "Raft", "--seeds", "0"], "seeds must be at least 1"),
        (["sweep", "paxos_duel"], "Missing option '--vary'"),
        (["fuzz", "Raft", "--time", "nan"], "'nan' is not a finite number"),
        (["compare", "Raft", "--run-timeout", "inf"], "'inf' is not a finite number"),
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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["run", "paxos_duel", "--set", "duration=-1"], 2)],
)
def test_a_process_of_its_own_says_the_same(arguments: list[str], code: int) -> None:
    started, called = sim_process(*arguments), sim(*arguments)
    assert started.returncode == called.returncode == code
    assert (started.stdout, started.stderr) == (called.stdout, called.stderr)


def test_help_and_every_subcommands_help_have_an_example() -> None:
    overview = sim("--help")
    assert overview.returncode == 0
    commands = re.findall(
        r"^  (\w+) ", overview.stdout.partition("Commands:")[2].partition("Examples:")[0], re.M
    )
    assert len(commands) >= 13
    for name in commands:
        shown = sim(name, "--help").stdout
        assert "Usage: sim " + name in shown
        assert re.search(rf"Examples?: sim {name}\b", shown), name
    assert "sim run scenarios/raft_failover.py --seed 7" in overview.stdout


def test_list_shows_systems_networks_faults_and_scenarios() -> None:
    shown = sim("list").stdout
    for name in ("MultiPaxos", "wan", "ClosedLoop", "RandomPartitions", "scenarios/raft_failover.py"):
        assert name in shown


def test_run_tells_the_story_with_fields_changed(tmp_path: Path) -> None:
    done = sim("run", "raft_failover", "--seed", "3", "--set", "duration=16", "--set", "system.nodes=3",
               "--set", "workload.clients={'tokyo': 1, 'oregon': 1}", "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The leader crashed at 10 s" in done.stdout
    assert (tmp_path / "out" / "election.png").stat().st_size > 10_000
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
    done = sim("sweep", "paxos_duel", "--vary", "system.timeout=0.2,0.4", "--seeds", "2",
               "--workers", "1", "--out", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "sweep.csv")
    assert frame["system__timeout"].tolist() == [0.2, 0.2, 0.4, 0.4]
    assert frame["seed"].tolist() == [0, 1, 0, 1]


def test_a_small_demo_prints_both_tables_and_writes_charts_and_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.lab.demo._RATE", 8.0)
    monkeypatch.setattr("sim.lab.demo._SERVERS", 2)
    done = sim("demo", "--seeds", "2", "--workers", "1", "--out", str(tmp_path))
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


def test_sim_alone_prints_its_help() -> None:
    done = sim()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == sim("--help").stdout
    assert len(done.stdout.splitlines()) > 10


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["chek"], "'check'"),
        (["compare", "Rafft"], "'Raft'"),
        (["run", "raft_failovr"], "'raft_failover'"),
        (["run", "raft_failover", "--sed", "3"], "--seed"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(arguments: list[str], meant: str) -> None:
    done = sim(*arguments)
    assert done.returncode == 2
    assert "id you mean" in done.stderr
    assert meant in done.stderr


@pytest.mark.parametrize("name", ["builtins:breakpoint", "sys:exit", "sim.lab:Scenario", "sim.system:System"])
def test_nothing_is_called_that_is_no_system(name: str) -> None:
    done = sim("compare", name)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


HISTORY = '{"process": 0, "kind": "read", "key": "x", "value": 3, "call": 0, "return": 1, "status": "ok"}\n'


@pytest.mark.parametrize(
    ("arguments", "code"), [(["list"], 0), (["--help"], 0), (["check", "h.jsonl"], 1), (["frob"], 2)]
)
def test_a_reader_that_has_gone_changes_neither_exit_code_nor_words(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "h.jsonl").write_text(HISTORY)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        [sys.executable, "-m", "sim", *arguments], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    complaints = running.stderr.read()
    running.stderr.close()
    assert running.wait() == code
    assert "pipe" not in complaints.lower()


@pytest.mark.parametrize("plot", ["nowhere/x.png", "x.zzz", "x", "."])
def test_a_chart_that_cannot_be_written_is_refused_before_the_work(plot: str, tmp_path: Path) -> None:
    (tmp_path / "h.jsonl").write_text(HISTORY)
    done = sim("check", str(tmp_path / "h.jsonl"), "--plot", str(tmp_path / plot))
    assert done.returncode == 2
    assert done.stdout == ""


def test_a_picture_hides_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "h.jsonl").write_text(HISTORY)
    done = sim("check", str(tmp_path / "h.jsonl"), "--plot", str(tmp_path / "chart.png"))
    assert done.returncode == 1
    assert (tmp_path / "chart.png").stat().st_size > 1000


BROKEN = '''"""Broken."""
from sim import Scenario
from sim.network import constant
from sim.protocols import Raft

scenario = Scenario(system=Raft(nodes=3), network=constant(0.01), duration=1.0)

def tell(scenario, seed, folder):
    return {}["oops"]
'''


def test_an_error_in_a_script_has_its_class_file_and_line(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    done = sim("run", str(script), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "KeyError: oops" in line
    assert f"{script}, line 9" in line
    script.write_text("import sim\n\nsim.nothing\n")
    done = sim("run", str(script))
    assert "AttributeError" in done.stderr
    assert "line 3" in done.stderr


def test_traceback_prints_the_traceback_wherever_it_stands(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    for arguments in (("run", str(script), "--traceback"), ("--traceback", "run", str(script))):
        done = sim(*arguments, "--out", str(tmp_path / "out"))
        assert done.returncode == 2
        assert "Traceback (most recent call last)" in done.stderr
        assert 'return {}["oops"]' in done.stderr


def test_list_refuses_a_folder_that_is_not_there_or_holds_no_script(tmp_path: Path) -> None:
    for folder in ("nope", str(tmp_path)):
        done = sim("list", "--scenarios", folder)
        assert done.returncode == 2
        assert folder in done.stderr


def test_stories_run_by_name_in_any_folder(tmp_path: Path) -> None:
    assert "raft_failover" in sim("list", cwd=tmp_path).stdout
    done = sim("run", "raft_failover", "--set", "duration=x", cwd=tmp_path)
    assert (done.returncode, "'x'" in done.stderr) == (2, True)


def test_ctrl_c_ends_the_workers_too_and_at_once(tmp_path: Path) -> None:
    started = tmp_path / "started"
    (tmp_path / "slow.py").write_text(
        '"""Slow."""\nimport os, time\nfrom pathlib import Path\nfrom sim import Scenario\n'
        "from sim.network import constant\nfrom sim.protocols import BasicRaft\n"
        "class Slow(BasicRaft):\n    def invariants(self):\n"
        f"        Path({str(started)!r} + str(os.getpid())).touch(); time.sleep(60); return ()\n"
        "scenario = Scenario(system=Slow(nodes=3), network=constant(0.01), duration=1.0, check=True)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "sim", "sweep", "slow.py", "--vary", "duration=1,2", "--seeds", "2", "--workers", "2"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("started*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name.removeprefix("started")) for path in tmp_path.glob("started*")]
    assert len(workers) == 2
    running.send_signal(signal.SIGINT)
    _, complaints = running.communicate(timeout=30)  # far below the minute that the runs would take
    assert running.returncode == 130
    assert complaints.strip().splitlines()[-1] == (
        "sim: interrupted: 0 of 4 runs finished and are kept in results/sweep; go on with --resume (resume=True)"
    )
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_compare_distinguishes_sizes_and_names_shared_settings(tmp_path: Path) -> None:
    done = sim("compare", "Raft(nodes=3)", "Raft(nodes=5)", "--seeds", "1", "--workers", "1",
               "--set", "duration=2", "--set", "faults=[]", "--out", str(tmp_path / "sizes"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Raft, 3 nodes" in done.stdout
    assert "Raft, 5 nodes" in done.stdout
    assert "nodes" in next(line for line in done.stdout.splitlines() if line.startswith("system")).split()
    alike = sim("compare", "Raft", "PrimaryBackup", "--seeds", "1", "--workers", "1",
                "--set", "duration=2", "--set", "faults=[]", "--out", str(tmp_path / "alike"))  # fmt: skip
    assert ": 5 nodes; silence suspected after 2.75 s" in alike.stdout
    assert "p50 / p99 [ms] of clients in" in alike.stdout
    ratio = sim("compare", "Raft(nodes=3)", "Raft(nodes=5)", "--seeds", "2", "--workers", "1",
                "--baseline", "Raft(nodes=5)", "--set", "duration=2", "--set", "faults=[]",
                "--out", str(tmp_path / "ratio"))  # fmt: skip
    assert re.search(r"Raft, 3 nodes: p50 0\.\d+ ± 0\.\d+ times Raft, 5 nodes", ratio.stdout), ratio.stdout


def test_a_sweep_prints_units_and_verdicts(tmp_path: Path) -> None:
    done = sim("sweep", "paxos_duel", "--vary", "system.timeout=0.2,0.4", "--seeds", "1",
               "--workers", "1", "--out", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "p50 [ms]" in done.stdout
    assert "checked" in done.stdout
    assert "nan" not in done.stdout.lower()


def test_a_product_is_named_as_it_was_written(tmp_path: Path) -> None:
    few = ("--set", "duration=2", "--set", "faults=[]", "--seeds", "1", "--workers", "1")
    written = "Raft.like('etcd', nodes=3)"
    done = sim("compare", written, "Raft(nodes=3)", *few, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines() if line.startswith("Raft")] == [
        written,
        "Raft, 3 nodes",
    ] * 2
    twice = sim("compare", written, written, *few)
    assert (twice.returncode, "the same system is given twice" in twice.stderr) == (2, True)
