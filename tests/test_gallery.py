"""The gallery shows every story in scenarios/, as the stories are now. `make gallery` makes it again."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.story_points import POINTS, Say

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = {path.stem: path for path in sorted((ROOT / "scenarios").glob("*.py"))}
PICTURES = ROOT / "docs" / "images" / "gallery"


def test_it_has_a_picture_and_an_entry_of_each_story_and_of_no_other() -> None:
    assert sorted(p.stem for p in PICTURES.glob("*.png")) == sorted(SCENARIOS)
    assert sorted(p.stem for p in PICTURES.glob("*.json")) == sorted(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_entry_says_what_its_story_says(name: str) -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(SCENARIOS[name].read_text(encoding="utf-8")), clean=False) or ""
    title, _, text = doc.strip().partition("\n")
    entry = json.loads((PICTURES / f"{name}.json").read_text(encoding="utf-8"))
    assert (entry["title"], entry["text"]) == (title, text.strip()), "run `make gallery`"
    assert f"### {title.removesuffix('.')}\n" in page
    assert f"(images/gallery/{name}.png)" in page
    assert all(line in page for line in entry["said"].splitlines())


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_numbers_of_an_entry_make_the_point_of_its_story(name: str) -> None:
    entry = json.loads((PICTURES / f"{name}.json").read_text(encoding="utf-8"))
    POINTS[name](Say(entry["said"]))
