"""Notebooks are committed with outputs, which are what an execution shows today; so are the figures in their prose."""

from __future__ import annotations

import ast
import dataclasses
import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

from tests.budget import mostly_nightly
from tests.scripts import script

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
QUICK = {"02_raft_step_by_step"}
"""Executed by `make test`; `make nightly` executes all."""


def maker() -> ModuleType:
    return script(FOLDER / "make_notebooks.py")


@cache
def stored(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize(
    "path", mostly_nightly(NOTEBOOKS, lambda path: path.stem in QUICK), ids=lambda p: p.stem
)
def test_what_a_notebook_shows_is_what_it_computes(path: Path) -> None:
    """Texts, tables and figures; of a picture only that there is one."""
    new, old = maker().without_pictures(maker().executed(path)), maker().without_pictures(stored(path))
    assert new == old, "run `make notebooks`, and read what has changed"


def test_the_notebooks_are_ten_with_numbered_names() -> None:
    assert [path.stem[:3] for path in NOTEBOOKS] == [f"{number:02d}_" for number in range(1, 11)]
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        question = FORM["question"].search(stored(path).cells[0].source)
        assert question is not None
        row = f"| [{path.stem[:2]}](../notebooks/{path.name}) | "
        assert row in page, "docs/notebooks.md lists it"
        assert " ".join(question[1].split()) in page, "with its question"


@dataclasses.dataclass(frozen=True)
class Shown:
    """All that a cell shows, as text."""

    text: str
    pictures: int


def shown(cell: Any) -> Shown:
    texts, pictures = [], 0
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        pictures += "image/png" in data
        table = html.unescape(re.sub(r"<[^>]*>", " ", data.get("text/html", "")))
        texts += [output.get("text", ""), data.get("text/plain", ""), table]
    return Shown("\n".join(texts), pictures)


FORM = {
    "question": re.compile(r"\A# \d+\. .*\n\n\*\*Question\.\*\* ([^?]*\?(?:[^?]*\?)?)\n*\Z"),
    "address": re.compile(r"\bat 0x[0-9a-f]+"),
    "here": re.compile(r"/(?:work|home|root|tmp|usr)/|site-packages"),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_begins_with_a_question_and_ends_with_an_exercise_and_its_folded_solution(
    path: Path,
) -> None:
    cells = stored(path).cells
    assert FORM["question"].match(cells[0].source)
    assert cells[0].source.startswith(f"# {int(path.stem[:2])}. ")
    exercise = [i for i, cell in enumerate(cells) if cell.source.startswith("## Exercise\n\n")]
    answer = [i for i, cell in enumerate(cells) if cell.source.startswith("## The answer\n\n")]
    assert exercise == [len(cells) - 3]
    assert answer == [len(cells) - 4]
    assert cells[-2].source == "# your turn"
    solution = maker().SOLUTION.fullmatch(cells[-1].source)
    assert solution is not None
    assert solution["shown"]
    ast.parse(solution["code"])
    assert solution["words"].strip(), "it says what it shows"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stored_with_outputs_without_errors_and_without_what_varies(path: Path) -> None:
    notebook = stored(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.metadata == {} for cell in notebook.cells)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    assert sum(shown(cell).pictures for cell in code) >= 1
    for cell in notebook.cells:
        text = cell.source + shown(cell).text
        assert not FORM["address"].search(text)
        assert not FORM["here"].search(text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_code_of_a_notebook_is_short_and_can_be_read(path: Path) -> None:
    for cell in stored(path).cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
            assert len(cell.source.splitlines()) <= 45


_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_NO_FIGURE = re.compile(
    r"`[^`]*`|\]\([^)]*\)|(?:\b[A-Z]\w*\*?|\bal\.),? \(?(?:19|20)\d\d\b"
    r"|\b(?:section|figure|rule|phase|[Pp]lace) [\d.]+|^#.*$",
    re.MULTILINE,
)


def numbers(text: str) -> set[float]:
    """All numbers in a text; those with a point also times a thousand, as seconds are told in ms."""
    found = {number: float(number.replace(",", "")) for number in _NUMBER.findall(text)}
    return {*found.values(), *(round(1e3 * value, 9) for number, value in found.items() if "." in number)}


def figures(prose: str) -> Iterator[str]:
    """The numbers in prose, without those of code, links, years of papers, sections, places and headings."""
    yield from _NUMBER.findall(_NO_FIGURE.sub(" ", prose))


def baseless(cells: list[Any]) -> Iterator[str]:
    """The figures in prose that stand neither in code or outputs above them nor in the code that they introduce."""
    known: set[float] = set()
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type == "code":
            known |= numbers(cell.source + "\n" + shown(cell).text)
            continue
        fences = re.findall(r"```.*?```", cell.source, flags=re.DOTALL)
        introduced = following.source if following is not None and following.cell_type == "code" else ""
        there = known | numbers("\n".join([*fences, introduced]))
        prose = re.sub(r"```.*?```", " ", cell.source, flags=re.DOTALL)
        yield from (figure for figure in figures(prose) if float(figure.replace(",", "")) not in there)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_figure_in_the_prose_stands_in_the_code_or_in_an_output_above_it(path: Path) -> None:
    assert not list(baseless(stored(path).cells))


def test_a_figure_that_nothing_shows_is_found() -> None:
    code = nbformat.v4.new_code_cell("delay = 0.010")
    code.outputs = [nbformat.v4.new_output("stream", text="p50 84.3 ms\n")]
    prose = nbformat.v4.new_markdown_cell(
        "Lamport (2001): 84.3 ms, 10 ms, `d=7`, but not 84.5 ms and 11 delays."
    )
    assert list(baseless([code, prose])) == ["84.5", "11"]
    assert list(baseless([prose, code])) == ["84.3", "84.5", "11"], "an output stands above, code may follow"


def test_the_data_of_a_notebook_are_made_by_their_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script(FOLDER / "data" / "make_data.py")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    for path in sorted(tmp_path.glob("*.csv")):
        assert path.read_text() == (FOLDER / "data" / path.name).read_text(), path.name
    assert len(list(tmp_path.glob("*.csv"))) == 3
