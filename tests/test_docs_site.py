"""The docs site: every page is in its table of contents, every link inside the project is alive, what is public has its
place. This needs no Sphinx; `make docs` builds the site itself, and treats warnings as errors."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest

from sim.cli import cli
from tests.test_docs import ROOT, blocks

DOCS = ROOT / "docs"
OUTSIDE = [
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "validation/README.md",
    *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("labs/*/README.md"))),
]
SITE = [
    *(path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts),
    *(ROOT / name for name in OUTSIDE),
]
LINKED = [*SITE, *sorted(ROOT.glob("README*.md"))]
FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)?)(?: \"[^\"]*\")?\)")


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(anchor(found) for found in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE))


@cache
def contents() -> tuple[str, ...]:
    """The pages of docs/_toc.yml, by their paths without suffix."""
    text = (DOCS / "_toc.yml").read_text(encoding="utf-8")
    return tuple(re.findall(r"^(?:root| *- file): (\S+)$", text, re.MULTILINE))


def dead(page: Path, text: str) -> list[str]:
    """The relative links of a page's text that lead to no file, or to no heading of a page."""
    found = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = unquote(target).partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.is_file() or (fragment and there.suffix == ".md" and fragment not in anchors(there)):
            found.append(target)
    return found


def test_every_page_is_in_the_table_of_contents_once_and_every_entry_is_there() -> None:
    pages = sorted(str(page.relative_to(ROOT).with_suffix("")) for page in SITE)
    assert sorted(contents()) == pages, "docs/_toc.yml has each page once"
    assert "- glob: notebooks/*" in (DOCS / "_toc.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_project_is_alive(page: Path) -> None:
    """A link to a folder works on GitHub only, so it is dead, too."""
    assert not dead(page, prose(page))


def test_a_dead_link_is_found() -> None:
    page = DOCS / "index.md"
    text = "[a](tutorial.md#4-compare) [b](gone.md) [c](tutorial.md#nothing) [d](https://x.y) [e](images)"
    assert dead(page, text) == ["gone.md", "tutorial.md#nothing", "images"]


def documented() -> set[str]:
    """The modules of the reference."""
    pages = (DOCS / "reference").glob("*.md")
    return {name for page in pages for name in re.findall(r"automodule:: (\S+)", page.read_text("utf-8"))}


@cache
def entries() -> tuple[tuple[str, str], ...]:
    """What the reference documents: module and name. Raises AssertionError for a name left out that is not there."""
    found: list[tuple[str, str]] = []
    for page in sorted((DOCS / "reference").glob("*.md")):
        for module, options in re.findall(r"automodule:: (\S+)\n((?:   :.*\n)*)", page.read_text("utf-8")):
            left = re.search(r":exclude-members: (.*)", options)
            without = {name.strip() for name in left[1].split(",")} if left else set()
            exported = set(importlib.import_module(module).__all__)
            if chosen := re.search(r":members: (.*)", options.replace(":exclude-members:", "")):
                without = exported - {name.strip() for name in chosen[1].split(",")}
            assert without <= exported, f"{module} does not have {sorted(without - exported)}"
            found += [(module, name) for name in sorted(exported - without)]
        found += re.findall(r"autofunction:: (\S+)\.(\w+)", page.read_text("utf-8"))
    return tuple(found)


def thing(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def test_the_reference_has_each_class_and_function_once() -> None:
    places: dict[int, list[str]] = {}
    for module, name in entries():
        if callable(found := thing(module, name)):
            places.setdefault(id(found), []).append(f"{module}.{name}")
    twice = [" and ".join(names) for names in places.values() if len(names) > 1]
    assert not twice, "\n".join(twice)


def test_what_pages_and_stories_import_is_in_the_reference() -> None:
    known = {id(thing(module, name)) for module, name in entries()}
    sources = {str(page): "\n".join(code for _, code in blocks(page)) for page in LINKED}
    sources |= {str(path): path.read_text("utf-8") for path in sorted((ROOT / "scenarios").glob("*.py"))}
    missing = set()
    for where, source in sources.items():
        for module, names in re.findall(
            r"^from (sim(?:\.\w+)*) import (\([^)]*\)|.*)$", source, re.MULTILINE
        ):
            for name in re.findall(r"\w+", re.sub(r"#.*| as \w+", "", names)):
                if id(thing(module, name)) not in known and f"{module}.{name}" not in documented():
                    missing.add(f"{module}.{name} ({Path(where).name})")
    assert not missing, "\n".join(sorted(missing))


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    page = (DOCS / "command_line.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `sim (\w+)", page, re.MULTILINE))
    assert told == set(cli.list_commands(click.Context(cli)))


PLOTS = ("sim.analysis.plots", "sim.analysis.plots.balancing", "sim.analysis.plots.membership", "sim.plot")


def test_every_public_plotting_function_is_on_the_page_of_charts_and_in_the_reference() -> None:
    page = (DOCS / "charts.md").read_text(encoding="utf-8")
    assert set(PLOTS) | {"sim.lab.plots"} <= documented()
    functions = {name for module in PLOTS for name in importlib.import_module(module).__all__}
    plots = importlib.import_module("sim.lab.plots")
    methods = {
        name for cls in plots.__all__ for name in vars(getattr(plots, cls)) if not name.startswith("_")
    }
    assert methods > {"timeline", "anatomy", "by_region"}
    told = set(re.findall(r"`(?:[\w.]*\.)?(\w+)[`(]", page))
    assert not (functions | methods) - told


def test_the_page_for_lecturers_names_stories_that_there_are_and_labs_that_it_has() -> None:
    page = (DOCS / "lecturers.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| \d", line)]
    assert [row[0].strip() for row in rows] == [str(week) for week in range(1, len(rows) + 1)]
    for row in rows:
        for story in re.findall(r"`(\w+)`", row[3]):
            assert (ROOT / "scenarios" / f"{story}.py").is_file(), story
        assert re.search(r"`\w+`", row[3]), row[0]
        assert "](" in row[4], row[0]
