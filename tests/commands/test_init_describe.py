"""`sim init` writes a scenario that explains itself and runs; `sim describe` says what a scenario will run."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from sim import Scenario, System, protocols
from sim.faults import Crash
from sim.lab.begin import first_file, first_scenario
from sim.lab.demo import balancing_scenario, failover_scenario
from sim.lab.described import sentences
from sim.network import wan
from sim.protocols import Raft
from sim.workload import ClosedLoop, NoLoad
from sim.written.fields import described_with_bounds, meanings
from sim.written.hints import keywords
from sim.written.texts import parse_toml
from tests.command import sim

SYSTEMS: dict[str, Any] = {
    name: cls
    for name in protocols.__all__
    if inspect.isclass(cls := getattr(protocols, name)) and issubclass(cls, System)
}
COMMENTED = re.compile(r"^#(\w+ = (?!<).*)$", re.MULTILINE)


def scenario_of(text: str) -> Scenario:
    tree = parse_toml(text)
    tree.pop("seed", None)
    return Scenario.from_dict(tree)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_file_reads_back_as_the_scenario_also_with_each_default_written_out(name: str) -> None:
    system = SYSTEMS[name]()
    text = first_file(first_scenario(system))
    assert scenario_of(text) == first_scenario(system)
    assert len(COMMENTED.findall(text)) > 20
    assert scenario_of(COMMENTED.sub(r"\1", text)) == first_scenario(system)


def test_every_field_stands_in_the_file_with_its_meaning() -> None:
    text = first_file(first_scenario())
    scenario = first_scenario()
    parts = (
        scenario,
        scenario.system,
        scenario.network,
        scenario.workload,
        scenario.retry,
        scenario.machines,
    )
    for part in parts:
        explained = meanings(type(part))
        for name in keywords(type(part)):
            assert re.search(rf"^#?{name} = |^\[+(\w+\.)?{name}\]+$", text, re.MULTILINE), name
            told = " ".join(explained[name].split()[:4])
            assert told in " ".join(text.replace("\n# ", " ").split()), (name, told)
    assert (
        "A number (positive seconds); default: 10.0." in text
    )  # the unit, the bound and the default of duration


def test_the_file_runs_as_it_is_and_nothing_is_overwritten(tmp_path: Path) -> None:
    done = sim("init", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    file = tmp_path / "scenario.toml"
    written = file.read_text()
    ran = sim("run", "scenario.toml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "linearizable: valid" in ran.stdout
    file.write_text("mine")
    again = sim("init", cwd=tmp_path)
    assert (again.returncode, file.read_text()) == (2, "mine")
    assert "'scenario.toml' is there already" in again.stderr
    other = sim("init", "other.toml", "--system", "Abd(nodes=5)", cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    assert scenario_of((tmp_path / "other.toml").read_text()) == first_scenario(protocols.Abd(nodes=5))
    assert written == first_file(first_scenario())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init", "x.json"], "the name of 'x.json' must end in .toml"),
        (["init", "none/x.toml"], "there is no folder 'none'"),
        (["init", "x.toml", "--system", "Rafft"], "there is no system 'Rafft' (did you mean 'Raft'?)"),
        (["init", "x.toml", "y.toml"], "Got unexpected extra argument (y.toml)"),
        (["describe"], "Missing argument 'SCENARIO'"),
        (["describe", "nothing"], "there is no scenario script 'nothing'"),
        (["describe", "nothing.toml"], "nothing.toml cannot be read: No such file"),
        (["describe", "raft_failover", "--set", "duration=-1"], "duration must be positive seconds, not -1"),
        (["describe", "raft_failover", "--fault", "Crash('n9', at=1)"], "there is no 'n9'"),
        (["describe", "raft_failover", "--allow-module", "x"], "--allow-module x has no effect"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    done = sim(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_is_derived_is_told_with_its_rule() -> None:
    scenario = failover_scenario()
    told = "\n".join(sentences(scenario))
    found = scenario.resolved
    assert f"A heartbeat every {1e3 * found.timing.heartbeat:.3g} ms: derived, max(50 ms" in told
    assert f"suspected after {found.detection:.4g} s of silence: derived, 10 heartbeats" in told
    assert f"no answer within {found.client_timeout:.4g} s (derived: max(1 s, 4 times" in told
    assert "5 replicas: n0 in virginia, n1 in california, n2 in oregon, n3 in tokyo, n4 in ireland." in told
    assert "The first leader is n0: leader = 'virginia' asks for a replica there." in told
    assert "about 1,500 in a run" in told
    assert "From 10 s on: crash (target leader, at 10.0, down 5.0)." in told
    assert "on machine (cores 4," in told
    assert "Messages cost no core time" not in told
    assert "`sim run` takes seed 1" in told


def test_what_is_given_is_told_as_given() -> None:
    scenario = Scenario(
        system=Raft(nodes=3, heartbeat=0.2, detection=0.9),
        network=wan("virginia", "oregon", loss=0.01),
        workload=ClosedLoop(clients={"oregon": 2}, reads=1.0),
        faults=[Crash("n1", at=2.0), Crash("n0", at=1.0)],
        warmup="auto",
        check=True,
    ).vary_all({"retry.timeout": 0.5, "retry.deadline": 4.0})
    told = sentences(scenario, seed=9)
    text = "\n".join(told)
    assert (
        "A heartbeat every 200 ms, as the system says. A node is suspected after 900 ms of silence, as"
        in text
    )
    assert "no answer within 500 ms (as retry.timeout says)" in text
    assert "It gives up after 4 s." in text
    assert "2 clients: 2 in oregon." in text
    assert "A client that waits asks nothing" in text
    assert "All links have loss 0.01." in text
    assert text.index("crash (target n0") < text.index("crash (target n1")  # in the order in which they begin
    assert "The seed is 9, as the file says" in text
    assert (
        "Messages cost no core time, so that no load saturates a member. What is written is durable" in text
    )
    left = told[-1]
    assert "the system (Raft): unsafe," in left
    assert all(f" {name}," not in left for name in ("heartbeat", "detection", "nodes", "check", "warmup"))


def test_systems_without_leader_clients_or_faults_are_described_too() -> None:
    told = "\n".join(sentences(balancing_scenario()))
    assert "1 balancer: b0 in lan." in told
    assert "It claims no consistency." in told
    assert "Nothing goes wrong." in told
    assert "first leader" not in told
    quiet = Scenario(system=protocols.Swim(nodes=40), workload=NoLoad())
    told = quiet.describe()
    assert "There are no clients." in told
    assert "and 28 more." in told  # not forty names
    assert "asks again" not in told


def test_describe_takes_the_options_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("time,op,key\n1,get,a\n2,put,b\n")
    (tmp_path / "s.toml").write_text('seed = 4\n[system]\nclass = "Raft"\n')
    done = sim(
        "describe", "s.toml", "--load", "Trace('trace.csv')", "--fault", "Crash('n1', at=2)", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "They play 2 rows of trace.csv, from 0 s of the trace on; the trace takes 1 times as long" in told
    assert "From 2 s on: crash (target n1, at 2)." in told
    assert "The seed is 4, as the file says" in told
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert not (tmp_path / "results").exists()  # nothing was run


def test_meanings_are_read_from_the_docstrings_of_a_class_and_its_bases() -> None:
    class Base:
        """A base.

        Parameters
        ----------
        size, weight:
            How much
            it is.
        name:
            Its name.

        Raises ValueError for nothing.
        """

    class Derived(Base):
        """Derived.

        Parameters (besides those of `Base`)
        ----------
        name:
            See `Base`. It is ``short``.
        colour:
            Red.

        Attributes
        ----------
        hidden:
            No parameter.
        """

    assert meanings(Derived) == {
        "size": "How much it is.",
        "weight": "How much it is.",
        "name": "Its name. It is short.",
        "colour": "Red.",
    }
    known = keywords(Raft)
    assert described_with_bounds(known["nodes"][0]) == "an integer (of at least 1)"
    assert described_with_bounds(known["detection"][0]) == "a number (positive seconds)"
    assert described_with_bounds(Any) == ""


def test_a_field_that_was_given_is_not_left_at_its_default() -> None:
    usual = Raft().nodes
    for system, left in ((Raft(nodes=usual), False), (Raft(), True)):
        assert ("nodes" in sentences(Scenario(system=system))[-1].split("the network")[0]) is left
        assert (f"\nnodes = {usual}\n" in first_file(first_scenario(system))) is not left
