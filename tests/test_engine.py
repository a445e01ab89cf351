"""Which engine runs is said and can be chosen; a build of other sources is refused; what a wheel holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from sim import __version__
from sim.engine import PAIRS, engine_in_words
from tests.command import ROOT, sim

SOURCES = sorted(path for kind in ("pyx", "pxd") for path in (ROOT / "sim").rglob(f"_*.{kind}"))
BUILT = [
    path
    for pair in PAIRS
    for suffix in EXTENSION_SUFFIXES
    if (path := (ROOT / "sim" / pair).with_name(f"_{Path(pair).name}{suffix}")).exists()
]
SAY = "from sim.engine import engine_in_words; print(engine_in_words())"
needs_a_build = pytest.mark.skipif(
    len(BUILT) < len(PAIRS), reason="the compiled engine is not built here (make engine)"
)
VERSION = ("-m", "sim", "--version")


def python(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with these environment variables; ``sim`` is that of the folder."""
    kept = {name: value for name, value in os.environ.items() if name not in ("SIM_ENGINE", "PYTHONPATH")}
    environment = kept | {"PYTHONPATH": str(cwd)} | variables
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_version_and_the_first_line_of_the_demo_say_which_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sim("--version").stdout == f"sim, version {__version__}\n{engine_in_words()}\n"
    monkeypatch.setattr("sim.lab.demo.demo", lambda out, seeds, workers, say: say("the demo"))
    shown = sim("demo", "--out", str(tmp_path / "out")).stdout
    assert shown == f"{engine_in_words()}\nthe demo\n"


def test_the_python_engine_can_be_chosen() -> None:
    done = python(*VERSION, SIM_ENGINE="python")
    assert done.stdout.splitlines()[1:] == ["engine: python (SIM_ENGINE=python)"]


def test_an_engine_that_is_not_there_is_one_line_and_exit_code_2() -> None:
    for arguments in (VERSION, ("-m", "sim", "run", "raft_failover")):
        done = python(*arguments, SIM_ENGINE="nonsense")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "sim: SIM_ENGINE is python or compiled, not 'nonsense'\n"


def copy_of_the_engine(folder: Path) -> Path:
    """A clone with nothing but what the choice of an engine reads: the sources of the compiled engine and its build."""
    for file in (*(ROOT / "sim").glob("*.py"), *SOURCES, *BUILT):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder


def asked(clone: Path, engine: str) -> str:
    """The last line when a clone is asked for an engine ("": none is asked for)."""
    done = python("-c", SAY, cwd=clone, SIM_ENGINE=engine)
    return (done.stdout or done.stderr).splitlines()[-1]


def test_without_a_build_the_python_engine_runs_and_the_compiled_one_is_refused(tmp_path: Path) -> None:
    clone = copy_of_the_engine(tmp_path)
    for file in BUILT[:1]:  # a build that is not whole is none
        (clone / file.relative_to(ROOT)).unlink()
    assert asked(clone, "") == "engine: python (no compiled engine was built)"
    assert "EngineError: SIM_ENGINE=compiled, but no compiled engine was built" in asked(clone, "compiled")


@needs_a_build
def test_a_build_of_other_sources_is_refused(tmp_path: Path) -> None:
    """One byte of any source, and the Python engine runs; who asks for the compiled one gets an error."""
    clone = copy_of_the_engine(tmp_path)
    assert asked(clone, "") == "engine: compiled (it was built)"
    for file in SOURCES:
        changed = clone / file.relative_to(ROOT)
        text = changed.read_bytes()
        changed.write_bytes(text + b"\n")
        assert asked(clone, "").startswith("engine: python (the compiled engine was built from other sources")
        changed.write_bytes(text)
    (clone / SOURCES[0].relative_to(ROOT)).write_text("")
    assert "EngineError: the compiled engine was built from other sources" in asked(clone, "compiled")


@needs_a_build
def test_the_engine_of_a_wheel_has_no_sources_to_be_compared_with(tmp_path: Path) -> None:
    clone = copy_of_the_engine(tmp_path)
    for file in SOURCES:
        (clone / file.relative_to(ROOT)).unlink()
    assert asked(clone, "compiled") == "engine: compiled (SIM_ENGINE=compiled)"


def tracked(*folders: str) -> list[str]:
    """The files of these folders that are in the repository."""
    shown = subprocess.run(
        ["git", "ls-files", "-z", "--", *folders], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if shown.returncode:
        pytest.skip("this is not a clone")
    return [name for name in shown.stdout.split("\0") if name and (ROOT / name).exists()]


def clone_of(folder: Path) -> Path:
    """A copy of what a wheel is made of, without what lies around in the working folder."""
    for name in tracked("setup.py", "pyproject.toml", "README.md", "LICENSE", "sim", "scenarios", "examples"):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return folder


LITTER = (
    *(
        "sim/_message.c",
        "sim/_message.cpython-399-x86_64-linux-gnu.so",
        "sim/kernel/_timer.cp399-win_amd64.pyd",
    ),
    *("sim/__pycache__/cli.cpython-311.pyc", "scenarios/__pycache__/raft_failover.cpython-311.pyc"),
    *("examples/paper/results/figure.svg", "examples/paper/.DS_Store", "scenarios/results/run/frame.csv"),
    "sim/page/.report.js.swp",
)


def test_a_wheel_holds_the_files_of_the_repository_and_nothing_else(tmp_path: Path) -> None:
    """Stories, examples, pages and data come along; Cython sources, builds of other Pythons and caches do not."""
    clone = clone_of(tmp_path / "clone")
    for name in LITTER:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    wheel = tmp_path / "wheel"
    done = python("setup.py", "-q", "build_py", "--build-lib", str(wheel), cwd=clone, QUORUMLAB_PURE="1")
    assert done.returncode == 0, done.stderr
    inside = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    expected = {name for name in tracked("sim") if not name.endswith((".pyx", ".pxd"))}
    expected |= {f"sim/{name}" for name in tracked("scenarios", "examples")}
    assert inside == expected


@pytest.mark.nightly
def test_without_a_compiler_the_build_goes_on_and_leaves_no_older_build(tmp_path: Path) -> None:
    clone = copy_of_the_engine(clone_of(tmp_path))
    done = python("setup.py", "-q", "build_ext", "--inplace", cwd=clone, CC="false")
    assert done.returncode == 0, done.stderr
    assert "failed" in done.stderr + done.stdout
    assert not [path for path in clone.rglob("*") if path.name.endswith(tuple(EXTENSION_SUFFIXES))]
    assert asked(clone, "") == "engine: python (no compiled engine was built)"
