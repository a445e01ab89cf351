"""The pictures of the architecture and of a cluster are what their scripts draw; the glossary has Chinese terms."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.scripts import script

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
APART = {"commands", "testing"}  # the command line is a box of its own; tools for tests are no part of a run


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    return script(DOCS / "make_architecture.py")


def test_the_picture_has_every_package_and_nothing_that_is_not_there(drawing: ModuleType) -> None:
    named = [part for _, parts in drawing.LAYERS[1:] for name, _ in parts for part in name.split(", ")]
    packages = {path.parent.name for path in (ROOT / "sim").glob("*/__init__.py")}
    assert packages - APART <= set(named)
    assert all((ROOT / "sim" / name).is_dir() or (ROOT / "sim" / f"{name}.py").is_file() for name in named)


def test_the_picture_is_drawn_from_the_script_as_it_is(drawing: ModuleType) -> None:
    picture = (DOCS / "images" / "architecture.svg").read_text(encoding="utf-8")
    told = [line for _, parts in drawing.LAYERS for name, text in parts for line in (name, *text.split("\n"))]
    assert all(f">{line}</" in picture for line in told), "run `python docs/make_architecture.py`"


def test_the_picture_of_a_cluster_at_work_is_what_its_script_draws() -> None:
    """It is a recorded run; it is small, and needs nothing from outside, as pages on GitHub demand."""
    picture = (DOCS / "images" / "cluster.svg").read_text(encoding="utf-8")
    maker = script(DOCS / "make_cluster_picture.py")
    assert picture == maker.draw(), "run `python docs/make_cluster_picture.py`"
    assert len(picture) < 200_000
    root = ElementTree.fromstring(picture)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "title", "style", "rect", "path", "circle", "g", "text"}
    assert "url(" not in picture
    assert "prefers-color-scheme:dark" in picture
    dots = [element for element in root.iter() if "m " in element.get("class", "")]
    frame = maker.scenario().run(seed=maker.SEED).messages
    assert len(dots) == frame["sent"].between(maker.BEGIN, maker.END - maker.ONE_WAY).sum()


def test_the_glossary_explains_each_term_once_with_its_chinese_one() -> None:
    lines = (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    terms = [row[0] for row in rows if row[1] != "中文"]
    assert len(terms) > 60
    assert len(set(terms)) == len(terms)
    for term, chinese, meaning in (row for row in rows if row[1] != "中文"):
        assert re.search("[\u4e00-\u9fff]", chinese) or term == chinese, term
        assert meaning.endswith("."), term
