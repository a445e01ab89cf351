"""Examples are tests: every scenario script tells its story (shortened), every notebook runs."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import runpy
from pathlib import Path
from typing import Any

import pytest

from sim.analysis.plots import save
from tests.budget import mostly_nightly
from tests.story_points import POINTS, Say

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


COARSE = 80.0
"""Dots an inch of the pictures of the tests: all that the stories draw, for a third of the time."""


def tell(path: Path, folder: Path, *, short: bool) -> str:
    """Tell a story; ``short``: with the fields and constants that the script itself gives for a quick look."""
    script = runpy.run_path(str(path))
    changes = script.get("SHORT", {}) if short else {}
    constants = {name: value for name, value in changes.items() if name.isupper()}
    assert constants.keys() <= script.keys(), "each is a constant of the script"
    script["tell"].__globals__.update(constants)
    fields = {name: value for name, value in changes.items() if name not in constants}
    return script["tell"](dataclasses.replace(script["scenario"], **fields), 1, folder)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "short", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["short", "whole"]
)
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_a_scenario_script_ends_in_charts_and_a_two_line_conclusion(
    path: Path, short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(save.__kwdefaults__, "dpi", COARSE)
    told = tell(path, tmp_path, short=short)
    lines = told.strip().splitlines()
    assert len(lines) == 2, told
    assert any(character.isdigit() for character in told), "a conclusion is computed from the run"
    assert "nan" not in told.split()
    pictures = list(tmp_path.rglob("*.png"))
    assert pictures
    assert all(picture.stat().st_size > 4_000 for picture in pictures)
    POINTS[path.stem](Say(told))
    title = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
    assert title.endswith(".")


def test_each_story_has_a_point_that_its_figures_must_make() -> None:
    assert sorted(POINTS) == [path.stem for path in SCENARIOS]


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem != "consensus"], ids=lambda p: p.stem
)
def test_the_cells_of_a_notebook_run_and_draw(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the process of the test, as plain Python; warnings are errors here, too."""
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "notebooks are committed without outputs"
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{path.name}, code cell {number}", "exec"), namespace)
    assert pyplot.get_fignums()
    pyplot.close("all")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "path", mostly_nightly(NOTEBOOKS, lambda path: path.stem == "consensus"), ids=lambda p: p.stem
)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # what a notebook has
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "notebooks are committed without outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert any("image/png" in o.get("data", {}) for o in shown)
    assert not [o for o in shown if o.get("name") == "stderr"]
