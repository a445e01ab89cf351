"""Prove the drop-in claim: SimPy's own test-suite, run with `sim.kernel.Environment` in the place of SimPy's.

    python validation/simpy_suite.py                        # with the engine that runs here
    SIM_ENGINE=python python validation/simpy_suite.py      # with the other build (see sim.engine)

Downloads the source distribution of the installed SimPy version into a temporary folder and runs with our class:

1. its tests, its RealtimeEnvironment rebuilt on top of our class,
2. the doctests of its documentation,
3. the example programs of its documentation, whose output must be the published one.

One expectation is adapted: the traceback test spells the file and function names of SimPy's own loop, and our
loop has others. As in SimPy's own configuration, tests marked ``benchmark`` are left out. Nothing of SimPy's
suite is kept. Exit code 0 when everything passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sim.engine import COMPILED, WHY  # noqa: E402  # of this folder, also when the script is run without installation

# Loaded as a pytest plugin, and by the example programs before they start.
SWAP = """
import importlib
import simpy, simpy.core
from sim.kernel import Environment

made = 0
construct = Environment.__init__

def counted(self, *args, **kwargs):
    global made
    made += 1
    construct(self, *args, **kwargs)

Environment.__init__ = counted
simpy.Environment = simpy.core.Environment = Environment
import simpy.rt
importlib.reload(simpy.rt)  # defines RealtimeEnvironment again, on our class
simpy.RealtimeEnvironment = simpy.rt.RealtimeEnvironment
assert issubclass(simpy.RealtimeEnvironment, Environment)

def pytest_configure(config):
    config.addinivalue_line("markers", "benchmark: speed tests, left out")

def pytest_terminal_summary(terminalreporter):
    assert made, "our Environment was not used"
    terminalreporter.write_line(f"{made} times a {Environment.__module__}.{Environment.__qualname__} was made")
"""

THEIR_FRAMES = """\
  File "{path}simpy/core.py", line {line}, in run
    self.step()
  File "{path}simpy/core.py", line {line}, in step
    raise exc
"""
OUR_FRAMES = """\
  File "{path}sim/kernel/environment.py", line {line}, in run
    self._run(Crowds())
  File "{path}sim/kernel/event_list.py", line {line}, in _run
    raise copy_of(event._value)
"""
OUR_COMPILED_FRAMES = """\
  File "{path}sim/kernel/environment.py", line {line}, in run
    self._run(Crowds())
  File "{path}sim/kernel/_event_list.pyx", line {line}, in sim.kernel._event_list.EventList._run
  File "{path}sim/kernel/_event_list.pyx", line {line}, in sim.kernel._event_list.EventList._happen
  File "{path}sim/kernel/_event_list.pyx", line {line}, in sim.kernel._event_list.EventList._process
"""


def download(folder: Path) -> Path:
    """Fetch and unpack the sources of the installed SimPy; their folder."""
    wanted = f"simpy=={version('simpy')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "simpy"]
    subprocess.run([*pip, "--dest", str(folder), wanted], check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def name_our_frames(test: Path) -> None:
    """Let the traceback test expect the frames of our loop."""
    text = test.read_text(encoding="utf-8")
    frames = OUR_COMPILED_FRAMES if COMPILED else OUR_FRAMES
    theirs, ours = indented(THEIR_FRAMES), indented(frames)
    assert text.count(theirs) == 1, "the traceback test has changed: look at it"
    test.write_text(text.replace(theirs, ours), encoding="utf-8")


def indented(frames: str) -> str:
    return "".join(f"        {line}\n" for line in frames.splitlines())


def run_tests(source: Path, environment: dict[str, str], what: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "swap", "-c", os.devnull, "--rootdir", ".", *what]
    return subprocess.run(command, cwd=source, env=environment, check=False).returncode == 0


def run_example(program: Path, environment: dict[str, str]) -> bool:
    """Whether an example program of the documentation prints what the documentation says."""
    code = f"import swap, runpy; runpy.run_path({str(program)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    good = done.returncode == 0 and done.stdout == program.with_suffix(".out").read_text(encoding="utf-8")
    print(f"example {program.stem}: {'as published' if good else 'DIFFERENT'}")
    if not good:
        print(done.stdout, done.stderr, sep="\n")
    return good


def main() -> int:
    """Run all three; the exit code."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source = download(scratch)
        name_our_frames(source / "tests" / "test_exceptions.py")
        (scratch / "swap.py").write_text(SWAP, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([name, str(ROOT)])}
        engine = "compiled" if COMPILED else "Python"
        print(f"SimPy {version('simpy')}: its tests, doctests and examples with sim.kernel.Environment")
        print(f"The engine: {engine} ({WHY})")
        passed = [run_tests(source, environment, ["-m", "not benchmark", "tests"])]
        doctests = ["--noconftest", "--doctest-glob=*.rst", "-W", "ignore", "docs", "README.rst"]
        passed += [run_tests(source, environment, doctests)]
        programs = sorted((source / "docs" / "examples" / "code").glob("*.py"))
        passed += [
            run_example(program, environment) for program in programs if program.with_suffix(".out").exists()
        ]
    print("all passed" if all(passed) else "FAILED")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
