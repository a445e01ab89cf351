"""`--fault`, `--load`, `--disk` and `--network`: own data and own incidents without Python, alike on every command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import sim.faults
from sim.commands.changes import Changes
from sim.commands.written import parse_fault, parse_load
from sim.faults import Crash, Fault, RandomCrashes
from sim.lab.demo import failover_scenario
from sim.protocols import Raft
from sim.workload import ClosedLoop, OpenLoop, Zipf
from tests.command import sim as command
from tests.test_values import make

SCENARIO = """\
duration = 3.0
[system]
class = "Raft"
nodes = 3
[[faults]]
class = "Crash"
target = "n2"
at = 2.0
"""
OWN = """\
from dataclasses import dataclass

from sim.faults import Fault

@dataclass(frozen=True)
class Note(Fault):
    at: float = 1.0

    def play(self, world, stream):
        yield world.env.timeout(self.at)
        world.record("n0", "noted", {})
"""
FIO = {
    "fio version": "fio-3.36",
    "jobs": [
        {
            "jobname": name,
            "sync": {"total_ios": 9, "lat_ns": {"min": low, "max": 9 * low, "percentile": {"50.000000": 3 * low}}},
        }
        for name, low in (("slow", 2_000_000), ("quick", 100_000))
    ],
}  # fmt: skip
COMMANDS = {
    "run": ("run", "small.toml"),
    "compare": ("compare", "Raft", "--scenario", "small.toml", "--seeds", "1", "--workers", "1"),
    "sweep": ("sweep", "small.toml", "--vary", "system.nodes=3", "--seeds", "1", "--workers", "1"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "own_faults.py").write_text(OWN)
    (tmp_path / "trace.csv").write_text("time,op,key\n100,get,a\n100.5,put,b\n")
    (tmp_path / "fio.json").write_text(json.dumps(FIO))
    (tmp_path / "rtt.csv").write_text("rtt,a,b,c\na,,20,30\nb,,,25\nc,,,\n")
    return tmp_path


FAULTS = [
    name
    for name in sim.faults.__all__
    if isinstance(cls := getattr(sim.faults, name), type) and issubclass(cls, Fault) and cls is not Fault
]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_library_is_read_as_python_writes_it(name: str) -> None:
    fault = make(getattr(sim.faults, name))
    assert parse_fault(repr(fault)) == fault


def test_a_fault_and_a_workload_are_read_with_and_without_names() -> None:
    assert parse_fault('Crash("leader", 5, down=2)') == Crash("leader", at=5, down=2)
    assert parse_fault("RandomCrashes(3.0, 1.0, members=('n0', 'n1'))").members == ("n0", "n1")  # type: ignore[attr-defined]
    assert parse_load("ClosedLoop(clients={'a': 2}, keys=Zipf(9))") == ClosedLoop(
        clients={"a": 2}, keys=Zipf(9)
    )
    assert parse_load("OpenLoop") == OpenLoop()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_own_data_and_an_incident(folder: Path, name: str) -> None:
    done = command(
        *COMMANDS[name], "--out", "out", "--network", "rtt.csv", "--disk", "fio.json:slow", "--load",
        "Trace('trace.csv', start='first')", "--fault", "Crash('leader', at=1)", "--fault", "own_faults:Note(at=2)",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    for what in ("network: rtt.csv", "load: trace.csv", "disk: fio.json"):
        assert any(line.startswith(what) for line in said), said
    if name == "run":
        events = (folder / "out" / "events.csv").read_text()
        assert all(event in events for event in ("crash", "noted")), events
        operations = (folder / "out" / "operations.csv").read_text()
        assert operations.count("\n") == 3  # the rows of the trace, not the load of the file


BAD = [
    (["--fault", "Crsh('n0', at=1)"], "there is no fault 'Crsh' (did you mean 'Crash'?); there are Administer,"),
    (["--fault", "Crash('n0')"], "missing 1 required positional argument: 'at'"),
    (["--fault", "Crash(n0, at=1)"], "n0 is no literal value: write it in quotes, 'n0'"),
    (["--fault", "Crash('n0', at=1, at=2)"], "\"('n0', at=1, at=2)\": at is given twice"),
    (["--fault", "Crash('n0', at=-1)"], "Crash: at must be at least 0 s, not -1"),
    (["--fault", "Crash('n7', at=1)"], "there is no 'n7'; there are"),
    (["--fault", "Crash('n0', at=9)"], "would never happen"),
    (["--fault", "Crash('n0', at="], "is no fault: write 'Crash(\"leader\", at=5, down=2)' or package.module:Name"),
    (["--fault", "unleash()"], "unleash is no fault (a class derived from sim.faults.Fault)"),
    (["--fault", "builtins:breakpoint"], "builtins:breakpoint is no fault"),
    (["--fault", "ClosedLoop()"], "there is no fault 'ClosedLoop'; there are"),
    (["--fault", "Crash('n0', at=1)", "--set", "faults=[]"], "--fault Crash('n0', at=1) has no effect"),
    (["--load", "ClosedLop()"], "there is no workload 'ClosedLop' (did you mean 'ClosedLoop'?); there are"),
    (["--load", "ClosedLoop(keys=Zipf)"], "Zipf is no literal value: write Zipf()"),
    (["--load", "ClosedLoop(clients=0)"], "clients must be at least 1, not 0"),
    (["--load", "ClosedLoop(clients={'a': 1, 'a': 2})"], "'a' is given twice"),
    (["--load", "ClosedLoop(clients={[]: 1})"], "is no literal value"),
    (["--load", "Trace('none.csv')"], "none.csv: No such file or directory"),
    (["--load", "Trace('trace.csv')"], "2 of 2 rows lie outside a run of 3.0 s"),
    (["--load", "NoLoad", "--set", "workload=NoLoad"], "--load NoLoad has no effect"),
    (["--disk", "none.json"], "none.json: No such file or directory"),
    (["--disk", "fio.json"], "(--disk FILE:JOB)"),
    (["--disk", "fio.json:other"], "a job 'other' with syncs is needed; jobs with syncs: 'slow', 'quick'"),
    (["--disk", "fio.json:slow", "--set", "machines.disk=Disk()"], "--disk fio.json:slow has no effect"),
    (["--network", "none.csv"], "'none.csv' does not exist"),
    (["--prices", "3"], "'3' is no prices: write 'Prices(machine=0.1, between=0.02)'"),
    (["--prices", "Prices(0.1)"], "only keyword arguments"),
    (["--prices", "Prices(machine=-1)"], "Prices: machine must be at least 0, not -1"),
    (["--prices", "Prices(machine={'mars': 1})"], "Prices: machine names 'mars'; the scenario has"),
    (["--prices", "Recorded('x')"], "Recorded is no prices"),
    (["--prices", "Prices(machine=1)", "--set", "measures=[]"], "--prices Prices(machine=1) has no effect"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "complaint"), BAD, ids=lambda x: " ".join(x) if isinstance(x, list) else ""
)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    folder: Path, name: str, options: list[str], complaint: str
) -> None:
    done = command(*COMMANDS[name], *options, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(("load: ", "disk: "))]
    assert len(complaints) == 1, done.stderr
    assert complaint in complaints[0]


def test_a_field_that_is_varied_cannot_be_given_too(folder: Path) -> None:
    done = command(
        "sweep", "small.toml", "--vary", "faults=[],[]", "--fault", "Crash('n0', at=1)", cwd=folder
    )
    assert done.returncode == 2
    assert "--fault Crash('n0', at=1) has no effect: faults is set by another option, too" in done.stderr


def test_changes_are_made_together_and_parts_after_wholes() -> None:
    both = Changes(load="Trace('x')", settings=("duration=60", "workload.rate=7")).settings
    made = Changes(
        load="OpenLoop(rate=5)", faults=("Crash('n0', at=50)",), settings=both
    ).applied(failover_scenario())  # fmt: skip
    assert made.workload == OpenLoop(rate=7)
    assert (made.duration, made.faults) == (60, (Crash("n0", at=50),))  # a fault after the former end


def test_a_disk_is_the_disk_of_every_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    scenario = failover_scenario().vary_all({"machines": {"n0": failover_scenario().machines}})
    made = Changes(disk="fio.json:quick").applied(scenario).resolved.machines
    assert {one.disk.latency.quantile(0.0) for one in made.values()} == {0.0001}
    assert (made["n0"].cores, made["n1"].cores) == (4, 1)  # all else stays


def test_the_comparison_by_default_fits_the_network_and_the_system(folder: Path) -> None:
    few = ("--seeds", "1", "--workers", "1", "--set", "duration=3")
    done = command(
        "compare", "Raft", "--network", "rtt.csv", "--fault", "Crash('leader', at=1)", *few, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 nodes; "), (
        done.stdout
    )  # one for each place, and no name of other regions
    for system, fault in (
        ("Balanced(servers=3)", "Crash('s1', at=1)"),
        ("Raft(nodes=3)", "Crash('n2', at=1)"),
    ):
        done = command("compare", system, "--load", "OpenLoop(rate=5)", "--fault", fault, *few, cwd=folder)
        assert done.returncode == 0, done.stderr


def test_what_is_read_is_what_python_would_have_made() -> None:
    made = Changes(faults=("RandomCrashes(mttf=3.0, mttr=1.0)",), load="ClosedLoop(clients=2)").applied(
        failover_scenario().vary("system", Raft(nodes=3))
    )
    assert made.faults == (RandomCrashes(3.0, 1.0),)
    assert made.workload == ClosedLoop(clients=2)


INCIDENT = "time,src,dst,rtt_ms\n0,a,b,20\n0,a,c,30\n0,b,c,25\n1,a,b,\n1,a,c,\n2,a,b,20\n2,a,c,30\n2,b,c,25\n"


def test_an_incident_is_played_back(folder: Path) -> None:
    (folder / "incident.csv").write_text(INCIDENT)
    told = command("describe", "small.toml", "--network", "incident.csv", "--replay", "hold", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "The measured samples are played back" in told.stdout
    longer = ("--network", "incident.csv", "--set", "duration=9", "--replay")
    refused = command("describe", "small.toml", *longer, "refuse", cwd=folder)
    assert refused.returncode == 2
    assert "hold" in refused.stderr  # the recording is shorter than the run: what would do is named
    assert command("describe", "small.toml", *longer, "repeat", cwd=folder).returncode == 0
    for options, complaint in (
        (["--replay", "hold"], "--replay hold has no effect without --network"),
        (["--network", "rtt.csv", "--replay", "hold"], "rtt.csv"),
        (["--network", "incident.csv", "--replay", "ever"], "'ever' is not one of"),
    ):
        done = command("describe", "small.toml", *options, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert complaint in done.stderr.splitlines()[-1]


def test_a_scenario_file_is_written_with_own_data_in_it(folder: Path) -> None:
    done = command(
        "init", "own.toml", "--system", "Raft(nodes=3)", "--network", "rtt.csv", "--set", "leader=b",
        "--load", "Trace('trace.csv', start='first')", "--fault", "Crash('leader', at=1)", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "rtt.csv").unlink()  # the latencies stand in the file
    told = command("describe", "own.toml", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "from 20 ms (a - b) to 30 ms (a - c)" in told.stdout
    assert "They play 2 rows of trace.csv" in " ".join(told.stdout.split())


def test_prices_add_what_a_month_costs(folder: Path) -> None:
    done = command(*COMMANDS["sweep"], "--prices", "Prices(machine=0.1)", "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "cost [$/month]" in done.stdout
    assert re.search(r"\b219\b", done.stdout), done.stdout  # three machines, 730 hours, 0.1 an hour
    told = command("describe", "small.toml", "--prices", "Prices(machine=0.1)", cwd=folder)
    assert "Further measures: cost ($/month)." in told.stdout
