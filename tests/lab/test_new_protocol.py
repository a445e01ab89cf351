"""`sim new protocol`: a package that is green from the start, and red as soon as its page's mistake is made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sim.lab.new_protocol import new_protocol
from tests.command import ROOT, sim

CHANGE = re.compile(r"In `([\w/.]+)`.*?change\n\n```\n(.*?)\n```\n\nto\n\n```\n(.*?)\n```", re.DOTALL)


def in_folder(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a folder, as its user would."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_green_from_the_start_and_red_after_the_mistake_of_its_page(tmp_path: Path) -> None:
    done = sim("new", "protocol", "my_store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "my_store"
    tested = in_folder(home, "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout

    ((file, right, wrong),) = CHANGE.findall((home / "README.md").read_text())
    code = (home / file).read_text()
    assert code.count(right) == 1
    (home / file).write_text(code.replace(right, wrong))
    storm = in_folder(home, "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/test_storm.py")
    assert storm.returncode == 1, storm.stdout
    assert "durable before send violated" in storm.stdout


def test_an_empty_folder_that_is_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # Python finds the folder itself, as a package without code
    (tmp_path / "my_store").mkdir()
    assert len(new_protocol(tmp_path / "my_store")) == 11


@pytest.mark.parametrize("name", ["x", "my_store", "a_name_of_as_many_letters_as_x"])
def test_the_code_has_the_form_of_the_house_under_every_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    made = new_protocol(home)
    assert home / name / "node.py" in made
    assert home / f"{name}.toml" in made
    for arguments in (("ruff", "check", "--no-cache", "."), ("ruff", "format", "--check", "--no-cache", ".")):
        done = in_folder(home, *arguments)
        assert done.returncode == 0, done.stdout
    for file in made:
        assert not re.search("first_?log", file.read_text(), re.IGNORECASE), file


def test_its_scenario_runs_and_its_system_stands_beside_others(tmp_path: Path) -> None:
    new_protocol(tmp_path / "my_store")
    home = tmp_path / "my_store"
    ran = sim("run", "my_store.toml", "--allow-module", "my_store.system", "--check", cwd=home)
    assert ran.returncode == 0, ran.stderr
    assert "linearizable: valid" in ran.stdout
    assert "invariants: held after every event" in ran.stdout
    done = sim("describe", "my_store.toml", "--allow-module", "my_store.system", cwd=home)
    assert "The system is My Store" in done.stdout
    done = sim("compare", "Raft(nodes=3)", "my_store:MyStore", "--scenario", "my_store.toml", "--allow-module",
               "my_store.system", "--set", "duration=5", "--seeds", "1", "--workers", "1", cwd=home)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "My Store" in done.stdout


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("My-Store", "'My-Store' is no name for a package: write at most 30 small letters, digits and _"),
        ("3d", "'3d' is no name for a package"),
        ("class", "'class' is no name for a package"),
        ("a" * 31, "is no name for a package"),
        ("json", "'json' is taken: Python already has a module of that name"),
        ("sim", "'sim' is taken"),
        ("append", "'append' is taken: the files have another Append"),
        ("tests", "'tests' is taken"),
        ("beside", "beside.py has the same name"),
        ("full", "'full' is not empty"),
        ("closed/x", "nothing can be written to 'closed/x'"),
    ],
)
def test_a_name_that_cannot_be_is_one_line_and_nothing_is_written(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "closed").write_text("")
    before = sorted(tmp_path.rglob("*"))
    done = sim("new", "protocol", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
