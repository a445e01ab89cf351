"""Papers: `paper.toml` is drawn and reproduced; what it cannot say is refused, and nothing outside its folder runs."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.lab.reproduce import reproduce
from sim.lab.reproduce.new import new_paper
from sim.lab.reproduce.paper import read_paper

ROOT = Path(__file__).resolve().parents[3]

SCENARIO = """
duration = 1.0
[system]
class = "PrimaryBackup"
nodes = 2
[workload]
class = "OpenLoop"
clients = 2
rate = 30.0
"""
PROTOCOL = """
from dataclasses import dataclass
from sim.protocols import PrimaryBackup

@dataclass(frozen=True, kw_only=True)
class Mine(PrimaryBackup):
    heartbeat: float = 0.1
"""
SCRIPT = """
from sim import Scenario
from sim.analysis.plots import save
from sim.protocols import PrimaryBackup

def figure(path):
    save(Scenario(system=PrimaryBackup(nodes=2), duration=1.0).run(4).plot.latency_cdf(), path)
"""
PAPER = """
form = 1
modules = ["mine"]
[[figures]]
output = "out/compared.png"
scenario = "scenario.toml"
systems = [{class = "mine:Mine"}, {class = "PrimaryBackup", mode = "async"}]
seeds = 2
chart = "bars"
options = {measure = "p50"}
[[figures]]
output = "out/swept.svg"
scenario = "scenario.toml"
vary = {"workload.rate" = [20.0, 40.0]}
seeds = [3]
chart = "throughput_latency"
[[figures]]
output = "out/own.pdf"
script = "own.py"
"""


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    folder = tmp_path / "paper"
    folder.mkdir()
    for name, text in {
        "scenario.toml": SCENARIO,
        "mine.py": PROTOCOL,
        "own.py": SCRIPT,
        "paper.toml": PAPER,
    }.items():
        (folder / name).write_text(text)
    return folder / "paper.toml"


def answers(paper: Path) -> list[Any]:
    return reproduce(paper, workers=1, progress=None)


def test_figures_of_a_paper_are_drawn_and_come_out_again(paper: Path) -> None:
    drawn = read_paper(paper).draw(workers=1, progress=None)
    assert [path.relative_to(paper.parent).as_posix() for path in drawn] == [
        "out/compared.png",
        "out/swept.svg",
        "out/own.pdf",
    ]
    assert [(one.name, one.status) for one in answers(paper)] == [
        ("out/compared.png", "identical"),
        ("out/swept.svg", "identical"),
        ("out/own.pdf", "identical"),
    ]
    assert "mine" not in sys.modules
    assert str(paper.parent) not in sys.path
    paper.write_text(PAPER.replace("seeds = [3]", "seeds = [5]"))
    (paper.parent / "own.py").write_text(SCRIPT.replace("run(4)", "run(6)"))
    (paper.parent / "mine.py").write_text(PROTOCOL + '    mode: str = "async"\n')
    changed = answers(paper)
    assert [one.status for one in changed] == ["different"] * 3
    assert "another scenario, or other seeds, than stated" in changed[1].reason


def test_a_figure_that_is_not_there_is_refused(paper: Path) -> None:
    with pytest.raises(ValueError, match=r"compared\.png cannot be read: No such file"):
        answers(paper)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("form = 1", "form = 2", "it has the form 2; this version reads the form 1"),
        ("form = 1", "form = 1\nfigure = 1", "a paper has no entry 'figure' (did you mean 'figures'?)"),
        ('modules = ["mine"]', "modules = 3", "modules must be a list of names, not 3"),
        ('modules = ["mine"]', 'modules = ["../mine"]', "'../mine' is no module of this folder"),
        (
            'modules = ["mine"]',
            'modules = ["other"]',
            "there is no file 'other.py' in the folder of the paper",
        ),
        ('script = "own.py"', 'script = "../own.py"', "'../own.py' lies outside the folder of the paper"),
        ('script = "own.py"', 'script = "/etc/passwd"', "'/etc/passwd' lies outside the folder of the paper"),
        ('script = "own.py"', 'script = "none.py"', "there is no file 'none.py'"),
        ('script = "own.py"', 'script = "own.py"\nseeds = 3', "seeds has no effect beside a script"),
        ('script = "own.py"', 'skript = "own.py"', "has no entry 'skript' (did you mean 'script'?)"),
        ('script = "own.py"', "", "give either a script or a scenario"),
        (
            'output = "out/own.pdf"',
            'output = "../own.pdf"',
            "'../own.pdf' lies outside the folder of the paper",
        ),
        (
            'output = "out/own.pdf"',
            'output = "own.txt"',
            "'own.txt' is no picture: its name ends in none of .png",
        ),
        ('output = "out/own.pdf"', "output = 3", "a figure needs output ="),
        ('output = "out/own.pdf"', 'output = "out/swept.svg"', "two figures stand in 'out/swept.svg'"),
        ('chart = "bars"', 'chart = "barrs"', "a comparison has no chart 'barrs' (did you mean 'bars'?)"),
        ('chart = "throughput_latency"', 'chart = "__class__"', "a sweep has no chart '__class__'"),
        ('systems = [{class = "mine:Mine"}', 'systems = [{class = "os:system"}', "os"),
        ('systems = [{class = "mine:Mine"}', 'systems = [{class = "other:Mine"}', "other"),
        ("seeds = 2", "seeds = 0", "out/compared.png: seeds must be at least 1"),
        ('vary = {"workload.rate" = [20.0, 40.0]}', 'vary = {"workload.rat" = [2.0]}', "has no field 'rat'"),
        ('scenario = "scenario.toml"\nvary', 'scenario = "mine.py"\nvary', "this is no TOML"),
    ],
)
def test_what_a_paper_cannot_say_is_refused_in_one_line(
    paper: Path, old: str, new: str, complaint: str
) -> None:
    assert old in PAPER
    paper.write_text(PAPER.replace(old, new, 1))
    with pytest.raises(ValueError) as error:
        read_paper(paper).draw(workers=1, progress=None)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_script_that_a_link_leads_to_is_outside(paper: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("raise SystemExit('run')\n")
    (paper.parent / "own.py").unlink()
    (paper.parent / "own.py").symlink_to(outside)
    with pytest.raises(ValueError, match=r"'own\.py' lies outside the folder of the paper"):
        read_paper(paper)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [("x = 1\n", "own.py defines no function figure"), ("def figure(path): pass\n", "has written nothing")],
)
def test_a_script_that_draws_nothing_is_refused(paper: Path, script: str, complaint: str) -> None:
    (paper.parent / "own.py").write_text(script)
    only = read_paper(paper)
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(only, figures=only.figures[2:]).draw(workers=1, progress=None)


def test_a_module_may_not_take_the_place_of_one_of_python(paper: Path) -> None:
    for name in ("json", "pandas"):
        shutil.copy(paper.parent / "mine.py", paper.parent / f"{name}.py")
        paper.write_text(PAPER.replace("mine", name))
        with pytest.raises(ValueError, match=f"modules: {name} is a module of Python or of a library"):
            read_paper(paper).draw(workers=1, progress=None)


def test_a_new_paper_has_what_others_need_and_its_first_figure_comes_out_again(tmp_path: Path) -> None:
    paths = new_paper(tmp_path / "new")
    assert {"paper.toml", "protocol.py", "Makefile", "constraints.txt", "CITATION.cff"} < {
        p.name for p in paths
    }
    assert "numpy==" in (tmp_path / "new" / "constraints.txt").read_text()
    paper = read_paper(tmp_path / "new" / "paper.toml")
    assert [figure.chart for figure in paper.figures] == ["by_region", "throughput_latency", "unavailability"]
    small = dataclasses.replace(paper, figures=(dataclasses.replace(paper.figures[0], seeds=1),))
    small.draw(workers=1, progress=None)
    assert [one.status for one in small.reproduce(workers=1, progress=None)] == ["identical"]
    with pytest.raises(ValueError, match="is not empty"):
        new_paper(tmp_path / "new")


@pytest.mark.nightly
def test_all_figures_of_a_new_paper_come_out_again(tmp_path: Path) -> None:
    new_paper(tmp_path / "new")
    paper = read_paper(tmp_path / "new" / "paper.toml")
    paper.draw(progress=None)
    assert [one.status for one in paper.reproduce(progress=None)] == ["identical"] * 3
