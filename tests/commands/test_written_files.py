"""Scenarios in TOML and JSON run from the command line; a wrong file is one line and exit code 2."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import sim
import sim.written
from sim import Run, Scenario
from sim.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "written_form.md"
SMALL = 'duration = 1.0\n[system]\nclass = "Raft"\nnodes = 3\n'


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(str(ended.value.code))


def test_the_scenario_of_the_page_runs_with_its_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    file, out = tmp_path / "crash.toml", tmp_path / "out"
    file.write_text(found[1], encoding="utf-8")
    assert called("run", str(file), "--out", str(out)) == 0
    assert "seed 7" in capsys.readouterr().out
    back = sim.load(out)
    assert isinstance(back, Run)
    assert back.seed == 7
    assert back.scenario == Scenario.from_toml(found[1].removeprefix("seed = 7\n"))
    assert (out / "timeline.png").stat().st_size > 1000


def test_sweep_and_compare_take_files_and_write_manifests(tmp_path: Path) -> None:
    toml, file = tmp_path / "s.toml", tmp_path / "s.json"
    toml.write_text(SMALL)
    file.write_text(json.dumps({"duration": 1.0, "system": {"class": "Raft", "nodes": 3}}))
    assert Scenario.from_toml(SMALL) == Scenario.from_json(file.read_text())
    out = tmp_path / "sweep"
    assert (
        called(
            "sweep",
            str(file),
            "--vary",
            "system.nodes=3,5",
            "--seeds",
            "1",
            "--workers",
            "1",
            "--out",
            str(out),
        )
        == 0
    )
    assert [point["system__nodes"] for point in sim.load(out).points] == [3, 5]  # type: ignore[union-attr]
    out = tmp_path / "compare"
    assert (
        called(
            "compare", "Raft", "--scenario", str(toml), "--seeds", "1", "--workers", "1", "--out", str(out)
        )
        == 0
    )
    assert len(sim.load(out).runs) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "text", "more", "told"),
    [
        ("a.toml", "duration = x", (), "a.toml: this is no TOML"),
        ("a.json", '{"system"', (), "a.json: this is no JSON"),
        ("a.json", "[]", (), "a.json: scenario: a table is needed"),
        (
            "a.toml",
            'system = {class = "Raff"}',
            (),
            r"scenario.system: there is no 'Raff' \(did you mean 'Raft'",
        ),
        ("a.toml", 'system = {class = "os:abort"}', (), "--allow-module os"),
        (
            "a.toml",
            'system = {class = "os:abort"}',
            ("--allow-module", "os"),
            "module posix, which is not allowed",
        ),
        ("a.toml", 'system = {class = "builtins:exit"}', ("--allow-module", "builtins"), "exit"),
        ("a.toml", SMALL + "[workload]\nclass = 'Crash'", (), "scenario.workload: Crash is not a Workload"),
        ("a.toml", "seed = -1\n" + SMALL, (), "a seed is an integer >= 0, not -1"),
        ("a.toml", "seed = 'x'\n" + SMALL, (), "a seed is an integer >= 0, not 'x'"),
        ("a.toml", None, (), "a.toml cannot be read: No such file"),
        ("a.toml", b"\xff\xfe", (), "a.toml: "),
        ("a.toml", SMALL, ("--set", "durations=3"), "a scenario has no field 'durations'"),
    ],
)
def test_a_wrong_file_is_one_line(
    name: str, text: str | bytes | None, more: tuple[str, ...], told: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert called("run", name, *more) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(told, error), error
    assert not Path("results").exists()


def test_what_would_have_no_effect_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.toml"
    file.write_text("seed = 3\n" + SMALL)
    for arguments, told in (
        (("sweep", str(file), "--vary", "system.nodes=3"), "seed = 3 is for `sim run`"),
        (("run", "raft_failover", "--allow-module", "x"), "--allow-module x has no effect"),
        (("sweep", "raft_failover", "--vary", "system.nodes=3", "--allow-module", "x"), "x has no effect"),
        (("compare", "Raft", "--allow-module", "x"), "x has no effect"),
    ):
        assert called(*arguments) == 2
        assert told in capsys.readouterr().err


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("schema") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(sim.written.schema()))
    assert "Raft" in printed["$defs"]
