"""A pytest plugin: the fixture ``fuzz``. Your ``conftest.py`` names it: ``pytest_plugins = ["sim.testing.plugin"]``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sim.settings import Count, Seconds, Whole
from sim.system import System

if TYPE_CHECKING:
    from sim.lab.fuzz import Fuzzed

__all__ = ["fuzz"]


@pytest.fixture
def fuzz(tmp_path: Path) -> Callable[..., Fuzzed]:
    """A function that fuzzes a system: ``fuzz(MySystem(), runs=50)``. The test fails with the story of what broke.

    Its arguments are ``runs`` (50), ``seconds`` (30) and ``seed`` (0), as in `sim.lab.fuzz.fuzz`; it runs in the
    process of the test, and returns the result. The replay file of what broke is in the temporary folder of the test.
    """
    from sim.lab.fuzz import fuzz as look

    def run(system: System, *, runs: Count = 50, seconds: Seconds = 30.0, seed: Whole = 0) -> Fuzzed:
        __tracebackhide__ = True
        found = look(system, runs=runs, seconds=seconds, seed=seed, workers=1, progress=None)
        if not found.ok:
            written = "\n".join(str(path) for path in found.save(tmp_path))
            pytest.fail(f"{found.text()}\n{written}", pytrace=False)
        return found

    return run
