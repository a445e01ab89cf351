"""Own data on the command line: `--network FILE` and histories of other programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.cli import main

MATRIX = "rtt;paris;tokyo;oslo\nparis;;221,5;30\ntokyo;;;240\noslo;;;\n"
SCRIPT = """\
from sim import Scenario
from sim.protocols import Raft
from sim.workload import OpenLoop

scenario = Scenario(system=Raft(nodes=3), workload=OpenLoop(clients=1, rate=5.0), duration=3.0)
"""


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command: its exit code, and what it printed on standard output and standard error."""

    def made(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(list(arguments))
        said = capsys.readouterr()
        return int(done.value.code or 0), said.out, said.err

    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rtt.csv").write_text(MATRIX)
    (tmp_path / "story.py").write_text(SCRIPT)
    return tmp_path


def test_a_run_takes_its_network_from_a_file_and_says_what_it_took(folder: Path, run: Run) -> None:
    code, _, said = run("run", "story.py", "--network", "rtt.csv", "--set", "network.loss=0.0")
    assert code == 0, said
    assert said.startswith("network: rtt.csv: a matrix in CSV, by its first line; took: 3 pairs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "none.csv"], "'none.csv' does not exist"),
        (["--network", "story.py"], "story.py"),
        (["--network", "rtt.csv", "--set", "network=3"], "network is set by another option, too"),
        (["--network", "rtt.csv", "--set", "leader=mars"], "mars"),
    ],
)
@pytest.mark.parametrize("command", [("run", "story.py"), ("compare", "Raft", "--scenario", "story.py")])
def test_a_network_that_cannot_be_taken_is_one_line_and_exit_code_2(
    folder: Path, run: Run, command: tuple[str, ...], options: list[str], message: str
) -> None:
    code, _, said = run(*command, *options)
    assert code == 2, said
    assert message in said.splitlines()[-1]


def test_check_reads_histories_of_events_and_says_what_it_took(folder: Path, run: Run) -> None:
    calls = '{:process 0, :type :invoke, :f :get, :key "a", :value nil}'
    (folder / "kv.txt").write_text(f'{calls}\n{{:process 0, :type :ok, :f :get, :key "a", :value ""}}\n')
    code, out, said = run("check", "kv.txt")
    assert (code, out.partition(":")[0]) == (0, "valid")
    assert "kv.txt: events in EDN, by the first line; took: 1 operation" in said
    assert run("check", "kv.txt", "--initial", '"x"')[0] == 1
    (folder / "kv.txt").write_text(calls.replace(":get", ":txn"))
    code, _, said = run("check", "kv.txt")
    assert code == 2
    assert "Elle" in said


PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "own_data.md"
FILES = re.compile(r"^`([\w./]+)`:\n\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = re.compile(r"^```(sh|py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_on_own_data_runs_from_top_to_bottom(folder: Path, run: Run) -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = FILES.findall(text)
    assert len(files) == 8
    for name, content in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    steps = STEPS.findall(text)
    assert [kind for kind, _ in steps] == ["sh", "py", "py", "py", "sh", "sh"]
    names: dict[str, object] = {}
    for kind, body in steps:
        if kind == "py":
            exec(compile(body, str(PAGE), "exec"), names)
            continue
        for line in body.splitlines():
            code, _, said = run(*shlex.split(line)[1:])
            assert code == 0, (line, said)
