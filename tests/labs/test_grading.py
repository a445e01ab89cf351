"""`sim grade`: points and stories for a submission, and a wild submission costs only itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sim.lab.grading import grade, grade_here, lost_in, raft
from sim.lab.grading.grading import MEMORY, STORMS, TIMEOUT
from sim.lab.grading.raft import POINTS, WORTH
from tests.command import ROOT, sim
from tests.labs import mistakes

SOLUTION = str(ROOT / "tests" / "labs" / "solution.py")
SKELETON = str(ROOT / "labs" / "raft" / "raft.py")


def write(folder: Path, name: str, code: str) -> str:
    file = folder / f"{name}.py"
    file.write_text(code, encoding="utf-8")
    return str(file)


def test_each_point_is_worth_something_and_all_make_a_hundred() -> None:
    assert WORTH.keys() == POINTS.keys()
    assert sum(WORTH.values()) == 100


def test_the_solution_gets_all_points() -> None:
    graded = grade_here(SOLUTION, storms=2)
    assert (graded.points, graded.lost, graded.error) == (100, (), ""), graded.text()


@pytest.mark.nightly
@pytest.mark.parametrize("name", mistakes.__all__)
def test_each_mistake_loses_a_point_in_the_storms_of_a_grade(tmp_path: Path, name: str) -> None:
    graded = grade_here(write(tmp_path, name, f"from tests.labs.mistakes import {name} as Server\n"))
    assert graded.points < 100, graded.text()


def test_a_submission_that_allocates_prints_raises_or_leaves_costs_only_itself(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "allocates", "x = [0] * 10**10"),
        write(tmp_path, "raises", "1 / 0"),
        write(tmp_path, "leaves", "import os; os._exit(7)"),
        write(tmp_path, "lacks", "x = 1"),
        write(tmp_path, "prints", "from tests.labs.solution import *\nprint('noise')\n"),
    ]
    grades = list(grade(files, storms=1, workers=2, memory=2000.0))
    assert [graded.file for graded in grades] == files
    errors = [graded.error for graded in grades]
    assert [graded.points for graded in grades] == [0, 0, 0, 0, 100], errors
    assert "memory" in errors[0].lower()
    assert "ZeroDivisionError" in errors[1]
    assert "7" in errors[2]
    assert "no class Server" in errors[3]
    assert errors[4] == ""


def test_a_file_that_is_no_python_is_bad_input_alone_and_costs_a_class_one_row(tmp_path: Path) -> None:
    file = write(tmp_path, "unfinished", "def f(:")
    alone = sim("grade", file)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "is no Python file: invalid syntax, line 1" in alone.stderr
    together = sim("grade", file, write(tmp_path, "raises", "1 / 0"), "--storms", "1", "--workers", "1")
    assert together.returncode == 0, together.stderr
    assert "no Python file: invalid syntax, line 1" in together.stdout
    assert "ZeroDivisionError" in together.stdout


def test_the_limits_are_written_once_and_shown_by_the_command() -> None:
    shown = " ".join(sim("grade", "--help").stdout.split())
    assert all(f"[default: {limit:g}" in shown for limit in (STORMS, TIMEOUT, MEMORY))


def test_a_submission_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    file = write(tmp_path, "loops", "while True: pass")
    assert [graded.error for graded in grade([file], storms=1, timeout=1.5)] == ["it took longer than 1.5 s"]


SILENT = """
from sim.node import Node, message
from sim.protocols.client import Request

@message
class Vote:
    term: int
    granted: bool

class Server(Node):
    def on_start(self):
        if self.incarnation < 0:
            self.record("elected", term=1)
    def on_request(self, src, msg: Request): pass
    def on_vote(self, src, msg: Vote): pass
"""


def test_a_server_that_does_nothing_breaks_nothing_and_gets_no_points(tmp_path: Path) -> None:
    graded = grade_here(write(tmp_path, "silent", SILENT), storms=1)
    assert (graded.points, graded.error) == (
        0,
        "clients get no answers, although nothing fails: no election ends",
    )


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("Server = 3", "no class Server that is a Node"),
        (SILENT.replace("elected", "chosen"), r"never says self\.record\(\"elected\", term=\.\.\.\)"),
        (SILENT.replace("granted", "yes"), "no message Vote with the fields term and granted"),
    ],
)
def test_what_the_hand_out_asks_for_and_a_submission_lacks_is_named(
    tmp_path: Path, code: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        grade_here(write(tmp_path, "lacks", code), storms=1)


def test_a_lost_point_is_told_as_a_story_and_a_row(tmp_path: Path) -> None:
    file = write(tmp_path, "minority", "from tests.labs.mistakes import Minority as Server\n")
    graded = grade_here(file, storms=6, shrinking=0.5)
    told = graded.text()
    assert "-20 at most one leader in a term" in told
    assert told.count("BROKEN") == sum(lost.seed is not None for lost in graded.lost) >= 1
    table = pd.DataFrame(graded.rows())
    assert table["most"].sum() == 100
    assert table.loc[table["point"] == "at most one leader in a term", "points"].item() == 0
    assert table["points"].sum() == graded.points


@pytest.mark.nightly
def test_a_storm_in_which_servers_flood_the_network_ends_with_a_lost_point() -> None:
    """A book that is never cut off is refused and sent again without end in storm 20: it filled the memory."""
    lost = lost_in(mistakes.NoTruncation, 20, seconds=0)
    assert lost is not None
    assert lost.point == "storms end"
    assert "all have sent 100,001 messages" in lost.reason


def test_what_servers_send_in_a_storm_is_bounded_in_messages_and_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lost_in(mistakes.FixedTimeouts, 0, seconds=0) is None
    for bound in ("_MOST_SENT", "_MOST_BYTES"):
        with monkeypatch.context() as smaller:
            smaller.setattr(raft, bound, 100)
            lost = lost_in(mistakes.FixedTimeouts, 0, seconds=0)
        assert lost is not None
        assert (lost.point, "all have sent" in lost.reason) == ("storms end", True)


def test_the_command_prints_points_and_writes_a_row_for_each(tmp_path: Path) -> None:
    file = write(tmp_path, "silent", SILENT)
    done = sim("grade", file, "--storms", "1", "--workers", "1", "--csv", str(tmp_path / "points.csv"))
    assert done.returncode == 0, done.stderr
    assert "0 of 100 points: clients get no answers" in done.stdout
    table = pd.read_csv(tmp_path / "points.csv")
    assert table.columns.to_list() == ["file", "point", "points", "most", "reason"]
    assert (table["most"].sum(), table["points"].sum()) == (100, 0)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing.py"], "there is no file 'nothing.py'"),
        ([SKELETON, "--storms", "0"], "0 is not in the range x>=1"),
        ([], "Missing argument 'FILE...'"),
        ([str(ROOT / "README.md")], "README.md' is no Python file: its name does not end in .py"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: list[str], complaint: str) -> None:
    done = sim("grade", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
