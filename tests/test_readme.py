"""The Chinese README keeps step with the English one; versions and licences are the same wherever they are named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import sim
from tests.command import sim as command

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAN = re.compile("[\u4e00-\u9fff]")


def code(page: str) -> list[tuple[str, list[str]]]:
    """The blocks of code of a page, without comments: these are translated."""
    return [
        (language, [re.sub(r"\s+# .*", "", line) for line in text.splitlines()])
        for language, text in BLOCK.findall(page)
    ]


def outline(page: str) -> list[int]:
    """The levels of the headings, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", BLOCK.sub("", page), re.MULTILINE)]


def targets(page: str) -> list[str]:
    """Where links and pictures lead, but for the link to the other language."""
    found = re.findall(r"\]\(([^)]+)\)", BLOCK.sub("", page))
    return sorted(target for target in found if not target.startswith("README"))


def steps_apart(one: str, other: str) -> list[str]:
    """In what two languages of a page differ."""
    parts = {"headings": outline, "code": code, "links": targets}
    rows = {"rows of tables": lambda page: len(re.findall(r"^\|", page, re.MULTILINE))}
    return [name for name, of in (parts | rows).items() if of(one) != of(other)]


def test_the_chinese_readme_has_the_headings_code_links_and_rows_of_the_english_one() -> None:
    assert not steps_apart(ENGLISH, CHINESE)
    assert "](README.zh-CN.md)" in ENGLISH
    assert "](README.md)" in CHINESE
    headings = re.findall(r"^##+ (.+)$", BLOCK.sub("", CHINESE), re.MULTILINE)
    assert headings
    assert all(HAN.search(heading) for heading in headings)


def test_a_page_that_is_out_of_step_is_seen() -> None:
    assert steps_apart(ENGLISH, ENGLISH.replace("## Licence", "### Licence")) == ["headings"]
    assert steps_apart(ENGLISH, ENGLISH.replace("Raft(nodes=5)", "Raft(nodes=3)")) == ["code"]
    assert steps_apart(ENGLISH, ENGLISH.replace("(docs/faults.md)", "(docs/network.md)")) == ["links"]
    assert steps_apart(ENGLISH, re.sub(r"^\| \*\*Faults.*\n", "", ENGLISH, flags=re.MULTILINE)) == [
        "links",
        "rows of tables",
    ]


def test_the_figures_of_the_readme_are_those_that_its_command_prints() -> None:
    """Measured and simulated, in both languages; the command's table has a row for each site."""
    done = command("validate", "caspaxos_wan")
    assert done.returncode == 0
    rows = re.findall(
        r"^Raft +.*? {2,}([\d.]+) +[\d.]+ +([\d.]+) +[+-][\d.]+ %.*green$", done.stdout, re.MULTILINE
    )
    measured, simulated = ([round(float(cell)) for cell in column] for column in zip(*rows, strict=True))
    assert len(measured) == 3
    for page in (ENGLISH, CHINESE):
        (said,) = [part for part in page.split("\n\n") if "CASPaxos" in part]
        numbers = [int(number) for number in re.findall(r"(?<!\d)\d{3}(?!\d)", said)]
        assert numbers == [*measured, *simulated]
    assert "$ sim validate caspaxos_wan" in ENGLISH


def test_the_version_is_one_everywhere_and_each_python_that_is_named_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == sim.__version__ == project["version"]
    assert re.search(r"^license: (.+)$", citation, re.MULTILINE)[1] == project["license"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    least = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    assert named
    assert min(tuple(map(int, version.split("."))) for version in named) == least
