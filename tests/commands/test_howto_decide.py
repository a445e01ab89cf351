"""docs/howto_decide.md: from pings, a trace and an incident to a choice; its commands run, and what it says is so."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sim import load
from tests.command import ROOT, Done, sim

PAGE = (ROOT / "docs" / "howto_decide.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]

FEWER = {"8": "2", "system.detection=0.4,0.8,1.6,3.2": "system.detection=0.4,1.6,3.2"}
LOAD = next(word for word in COMMANDS[0] if word.startswith("Trace("))
SHORT = FEWER | {
    LOAD: LOAD.removesuffix(")") + ", until=1_700_000_015)",
    'Crash("leader", at=45, down=10)': 'Crash("leader", at=1.5, down=1)',
    "duration=60": "duration=3",
}
"""The same commands, for three seconds: whether they run, and not what they find."""


def follow(folder: Path, changed: dict[str, str]) -> dict[str, Done]:
    """Run the commands of the page in a copy of its folder; command -> what the last one of its name printed.

    ``changed``: words of commands -> what stands in their place.
    """
    shutil.copytree(ROOT / "examples" / "decide", folder, dirs_exist_ok=True)
    done = {}
    for command in COMMANDS:
        alone = ["--workers", "1"] if "--seeds" in command else []
        given = [changed.get(word, word) for word in command]
        done[command[0]] = sim(*given, *alone, cwd=folder)
        assert done[command[0]].returncode == 0, (command, done[command[0]].stderr)
    return done


def quoted() -> list[str]:
    """What the page quotes, each quotation in one line."""
    found = re.findall(r"^> .*?(?=\n\n)", PAGE, re.MULTILINE | re.DOTALL)
    return [" ".join(re.sub(r"^>", "", text, flags=re.MULTILINE).split()) for text in found]


def check_what_the_page_says(folder: Path, done: dict[str, Done], monkeypatch: pytest.MonkeyPatch) -> None:
    told = " ".join(done["describe"].stdout.split())
    for sentence in quoted()[0].split(" ... "):
        assert sentence in told, sentence
    assert (folder / "frontier.png").stat().st_size > 20_000
    monkeypatch.chdir(folder)  # the trace is named by its path
    rows = load("results/incident").table(("unavailability", "false_elections", "acknowledged_lost"))
    by = {(row["system"], row["system__detection"]): row for row in rows.to_dict("records")}
    plain, wary, backup = "Raft", "Raft, pre vote, check quorum", "Primary-Backup, mode async"
    assert {system for system, _ in by} == {plain, wary, backup}
    elections = {key: row["false_elections"] for key, row in by.items()}
    mine = [elections[plain, at] for system, at in by if system == plain]
    assert mine == sorted(set(mine), reverse=True)
    assert mine[-1] == 0
    assert elections[wary, 0.4] < elections[plain, 0.4] / 3
    assert by[plain, 3.2]["unavailability"] > 3 * by[plain, 0.4]["unavailability"]
    assert by[wary, 0.4]["unavailability"] < 1.2 * by[plain, 0.4]["unavailability"]
    assert {at: row["acknowledged_lost"] for (system, at), row in by.items() if system == backup}[1.6] == 1
    elected = {}
    for name in ("plain", "pre_vote"):
        events = pd.read_csv(folder / "results" / name / "events.csv")
        times = events[events["event"] == "elected"]["time"]
        elected[name] = [
            int((times < 1).sum()),
            int(times.between(14, 15).sum()),
            int(times.between(15, 45).sum()),
        ]
    assert elected == {"plain": [1, 1, 5], "pre_vote": [1, 1, 0]}


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    assert [command[0] for command in COMMANDS] == [
        "init", "describe", "compare", "sweep", "frontier", "run", "run",
    ]  # fmt: skip
    words = {word for command in COMMANDS for word in command}
    assert words >= SHORT.keys()
    follow(tmp_path, SHORT)


@pytest.mark.nightly
def test_the_reasons_of_the_page_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_what_the_page_says(tmp_path, follow(tmp_path, FEWER), monkeypatch)


@pytest.mark.nightly
def test_the_page_says_the_figures_of_eight_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = follow(tmp_path, {})
    check_what_the_page_says(tmp_path, done, monkeypatch)
    advice = " ".join(done["frontier"].stdout.split())
    for line in re.split(r"(?:^| )- ", quoted()[1])[1:]:
        assert line in advice, line
    usual = load("results/usual").table(("p50", "unavailability", "time_without_leader")).to_dict("records")
    rows = re.findall(r"^\|[^|]+\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [tuple(map(float, row)) for row in rows] == [
        (
            round(1e3 * row["p50"]),
            round(row["unavailability"], 1),
            round(row["time_without_leader"], 1),
        )
        for row in usual
    ]


def test_the_data_are_made_again_as_they_are(tmp_path: Path) -> None:
    source = (ROOT / "examples" / "decide" / "make_data.py").read_text(encoding="utf-8")
    (tmp_path / "ping").mkdir()
    (tmp_path / "make_data.py").write_text(source)
    names: dict[str, object] = {"__file__": str(tmp_path / "make_data.py"), "__name__": "__main__"}
    exec(compile(source, "make_data.py", "exec"), names)
    for file in ("trace.csv", "incident.csv", *(f"ping/{p.name}" for p in (tmp_path / "ping").iterdir())):
        assert (tmp_path / file).read_text() == (ROOT / "examples" / "decide" / file).read_text()
