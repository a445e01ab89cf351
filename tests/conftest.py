"""Common parts of all tests: repeatable Hypothesis, matplotlib without a screen, golden files, fresh interpreters."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import cpu_time

os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent

# Examples are drawn from the test's own source, so a red test is red again; the nightly tests explore.
settings.register_profile(
    "repeatable",
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("nightly", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write tests/golden/ again instead of comparing"
    )


def pytest_configure(config: pytest.Config) -> None:
    cpu_time.measure(config)


def pytest_collection_finish() -> None:
    """What is there after collection stays to the end: the collector need not look through it during each test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(
        50_000, 20, 50
    )  # frames and figures make many objects that die by their count of references


@pytest.fixture(autouse=True, scope="session")
def runs_are_made_in_the_process_of_the_test() -> Iterator[None]:
    """Unless a test asks for workers: pytest's own processes keep the cores busy, and starting others costs more."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sim.lab.work.default_workers", lambda: 1)
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)`` asserts that ``text`` is what tests/golden/``name`` says."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--rewrite-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"there is no golden file {name}: run pytest --rewrite-golden and review it"
        expected = path.read_text(encoding="utf-8")
        assert text.splitlines() == expected.splitlines(), (
            f"{name} differs: if the new text is right, run pytest --rewrite-golden and review the diff"
        )

    return compare


@pytest.fixture
def fresh_python() -> Callable[..., str]:
    """``fresh_python(code, hash_seed=0)`` runs code in a new interpreter and returns what it printed."""

    def run(code: str, *, hash_seed: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
