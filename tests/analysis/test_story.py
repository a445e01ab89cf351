"""The story of a run: a line for what changes a node, for faults, for what is lost, for clients; and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim import Run, Scenario
from sim.analysis.story import tell
from sim.faults import Crash, Partition, Pause
from sim.network import constant
from sim.protocols import BasicRaft
from sim.workload import ClosedLoop, Script, ScriptedCall
from tests.command import sim

CALLS = (ScriptedCall("c0", 0.2, "put", "x", 7), ScriptedCall("c0", 0.3, "get", "x"))


@pytest.fixture(scope="module")
def run() -> Run:
    return Scenario(
        system=BasicRaft(nodes=3),
        network=constant(0.01),
        workload=Script(of=ClosedLoop(clients=1), calls=CALLS),
        faults=[
            Pause("n1", at=0.5, duration=0.2),
            Partition((("n2",), ("n0", "n1")), at=0.75, duration=0.1),
            Crash("n1", at=0.9, down=0.05),
        ],
        duration=1.0,
        check=True,
        trace="full",
    ).run(seed=1)


def lines(story: str, word: str) -> list[str]:
    return [line for line in story.splitlines() if word in line]


def test_columns_arrows_and_lifelines(run: Run) -> None:
    story = run.story()
    assert story.splitlines()[0].split() == ["time", "(s)", "n0", "n1", "n2", "c0"]
    assert lines(story, "RequestVote n0 -> n2")[0].startswith("0.010000   o------>o        RequestVote")
    assert lines(story, "n0 elected")[0].startswith("0.020000   *   |   |")
    assert lines(story, "FAULT pause n1")[0][11:24].split() == ["|", "X", "|", "|"]
    assert "=" in lines(story, "FAULT resume n1")[0] or "X" in lines(story, "FAULT resume n1")[0]
    assert lines(story, "FAULT crash n1")
    assert lines(story, "FAULT restart n1")[0][11:24].split()[1] == "X"


def test_operations_with_what_came_of_them(run: Run) -> None:
    story = run.story()
    assert [line.split("   ")[-1].strip() for line in lines(story, "c0 ") if "is called" in line] == [
        "c0 put x 7 is called",
        "c0 get x is called",
    ]
    assert lines(story, "c0 get x returns ok, 7")


def test_a_message_that_never_arrived_is_told_once_for_each_fault(run: Run) -> None:
    cut = lines(run.story(), "AppendEntries n0 -> n2 is cut off")
    assert len(cut) == 1
    assert "-->x" in cut[0]


def test_what_changes_nothing_is_counted(run: Run) -> None:
    story = run.story()
    assert "steps that changed nothing, or are like others before them, are not shown)" in story
    assert len(story.splitlines()) < 80 < len(run.steps)


def test_the_end_says_what_broke_or_that_nothing_did(run: Run) -> None:
    assert run.story().endswith("Nothing broke.")
    assert run.story(["BROKEN: x", "  because"]).endswith("BROKEN: x\n  because")


def test_a_long_story_is_cut_in_its_middle_and_lines_to_their_width(run: Run) -> None:
    nodes = [str(name) for name in run.nodes["node"]]
    short = tell(run.frames, nodes, most=41, width=60).splitlines()
    assert len(short) == 41 + 3
    assert any("lines are left out" in line for line in short)
    assert max(map(len, short[:-1])) == 60


def test_a_story_needs_a_full_trace() -> None:
    plain = Scenario(system=BasicRaft(nodes=3), duration=0.1).run(seed=1)
    with pytest.raises(ValueError, match='trace="full"'):
        plain.story()


def test_the_story_of_a_scenario_at_the_command_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text(run.scenario.to_json())
    done = sim("run", str(file), "--story", "--seed", "1")
    assert done.returncode == 0
    assert done.stdout.rstrip("\n") == run.story()
    refused = sim("run", str(file), "--story", "--trace", "messages")
    assert refused.returncode == 2
    assert "--story needs each step" in refused.stderr
