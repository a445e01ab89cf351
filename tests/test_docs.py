"""The Python in the README and in docs/ runs as it stands: each page from top to bottom, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim import System, protocols

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """The page's ```python blocks, each with the line that it begins on."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match.group(1)) for match in BLOCK.finditer(text)]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def where_rows() -> list[tuple[str, list[Path], list[str]]]:
    """The table "Where is ..." of docs/design.md: what happens, the files named, the functions named."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.split("## Where is ...")[1].split("\n\n")[1]
    rows = []
    for line in table.splitlines()[2:]:
        what, where, functions = (cell.strip() for cell in line.strip("|").split("|"))
        files: list[Path] = []
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", where):
            beside = ROOT if not files else files[0] if files[0].is_dir() else files[0].parent
            files.append((ROOT if name.startswith("sim/") else beside) / name)
        rows.append((what, files, re.findall(r"`((?:\w+\.)?\w+)`", functions)))
    return rows


@pytest.mark.parametrize(
    ("what", "files", "functions"), where_rows(), ids=lambda x: x if isinstance(x, str) else ""
)
def test_what_the_design_says_is_somewhere_is_there(
    what: str, files: list[Path], functions: list[str]
) -> None:
    assert files
    assert functions
    source = "".join(
        path.read_text(encoding="utf-8")
        for file in files
        for path in (sorted(file.glob("*.py")) if file.is_dir() else [file])
    )
    for function in functions:
        owner, _, name = function.rpartition(".")
        assert re.search(rf"\bdef {name}\b", source), function
        assert not owner or re.search(rf"\bclass {owner}\b", source), function


def test_tables_of_the_docs_have_a_head() -> None:
    """A row behind a blank line is no table, but a line of bars."""
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
            if line.startswith("| ") and not before.startswith("|"):
                assert after.startswith("|---"), f"{page.name}: {line[:60]}"


def test_every_system_has_a_row_in_the_docs() -> None:
    text = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    for name in protocols.__all__:
        if issubclass(getattr(protocols, name), System):
            assert re.search(rf"`{name}\b", text), name
