"""What a process with one engine tells, a line of JSON each: ``python -m tests.engine.child '[["by_hand"], ...]'``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from sim.engine import COMPILED
from tests.engine.by_hand import tell_by_hand
from tests.engine.mistakes import tell_mistakes
from tests.engine.scenarios import Told, tell_scenarios, tell_storms

ROOT = Path(__file__).resolve().parents[2]


class OnlyGolden:
    """A pytest plugin that leaves the tests that compare golden files, and counts those that pass."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if "golden" in getattr(item, "fixturenames", ())]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.append(report.nodeid)


def tell_golden(*files: str) -> Iterator[Told]:
    """The tests of golden traces in some files; all files, where none are given."""
    chosen = files or tuple(
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "golden(" in path.read_text()
    )
    only = OnlyGolden()
    with redirect_stdout(sys.stderr):
        code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:randomly", *chosen], plugins=[only])
    yield {"name": "golden", "passed": sorted(only.passed), "code": int(code)}


TELL: dict[str, Callable[..., Iterator[Told]]] = {
    "scenarios": tell_scenarios,
    "storms": tell_storms,
    "mistakes": tell_mistakes,
    "by_hand": tell_by_hand,
    "golden": tell_golden,
}


def main(parts: list[list[Any]]) -> None:
    """Tell each part, with its arguments; the first line says which engine it is."""
    print(json.dumps({"name": "engine", "compiled": COMPILED}))
    for part, *arguments in parts:
        for line in TELL[part](*arguments):
            print(json.dumps({**line, "name": f"{part}: {line['name']}"}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
