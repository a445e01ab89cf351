"""Protocols that the docs define stand storms: nothing breaks in them but the claim that they are meant to break."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sim import System
from sim.lab.storm import draw_storm, run_storm
from tests.budget import mostly_nightly
from tests.test_docs import PAGES, blocks

STORMS = 30
CLAIMS_TOO_MUCH = {"Eager"}
"""Systems that a page shows to be found out by checks."""


def code_of(page: Path) -> str:
    return "\n".join(code for _, code in blocks(page))


DEFINING = [page for page in PAGES if "(System)" in code_of(page) and page.name != "fuzzing.md"]
"""Pages that define systems; that on fuzzing breaks its own on purpose, and asks it in storms itself."""


@cache
def systems(page: Path, folder: Path) -> list[System]:
    """The systems that a page defines."""
    here = Path.cwd()
    os.chdir(folder)  # what a page writes goes there
    try:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        for line, code in blocks(page):
            exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), namespace)
    finally:
        os.chdir(here)
    defined = [v for v in namespace.values() if isinstance(v, type) and issubclass(v, System)]
    return [kind() for kind in defined if kind.__module__ == "__main__"]


@pytest.mark.parametrize("page", DEFINING, ids=lambda page: page.name)
@pytest.mark.parametrize("seed", mostly_nightly(range(STORMS), lambda seed: seed < 6))
def test_a_protocol_of_the_docs_keeps_its_invariants_in_storms(
    page: Path, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    defined = systems(page, tmp_path_factory.getbasetemp())
    assert defined
    for system in defined:
        run = run_storm(draw_storm(system, seed, length=2.0), seed)  # an exception is a mistake
        if type(system).__name__ not in CLAIMS_TOO_MUCH:
            assert run.violation is None
            assert run.check().status == "valid"


def test_the_docs_define_a_protocol() -> None:
    assert [page.name for page in DEFINING]
