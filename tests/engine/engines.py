"""The two builds of the engine, for tests: one process with each, or both event lists side by side in this one."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sim import engine

__all__ = [
    "FOLDER",
    "ROOT",
    "both_tell",
    "child",
    "environment_class",
    "needs_both",
    "timer_class",
    "why_not",
]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "sim"


@cache
def why_not() -> str:
    """Why there is no compiled engine to compare with; "" if there is one."""
    try:
        engine._choose("compiled")
    except engine.EngineError as error:
        return str(error)
    return ""


needs_both = pytest.mark.skipif(bool(why_not()), reason=why_not() or "both engines are there")


def child(name: str, code: list[str], timeout: float = 3000.0) -> list[str]:
    """The lines that Python prints with arguments ``code`` where the engine ``name`` runs."""
    done = subprocess.run(
        [sys.executable, *code],
        cwd=ROOT,
        env=os.environ | {"SIM_ENGINE": name, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, f"SIM_ENGINE={name} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return done.stdout.splitlines()


def both_tell(*parts: list[Any]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What parts of `tests.engine.child` tell: name -> what it is with the Python engine, and with the compiled one."""
    code = ["-m", "tests.engine.child", json.dumps(parts)]
    told = [
        {line["name"]: line for line in map(json.loads, child(name, code))} for name in ("python", "compiled")
    ]
    assert [lines.pop("engine")["compiled"] for lines in told] == [False, True]
    ours, compiled = told
    assert list(ours) == list(compiled)
    return {name: (ours[name], compiled[name]) for name in ours}


@cache
def environment_class(compiled: bool) -> Any:
    """`sim.kernel.Environment` with the event list of one of the engines, whichever runs here."""
    name = f"sim.kernel.environment_{'compiled' if compiled else 'python'}"
    path = FOLDER / "kernel" / "environment.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "COMPILED", compiled)  # it is imported by name when the module is executed
        spec.loader.exec_module(module)
    wanted = "sim.kernel._event_list" if compiled else "sim.kernel.event_list"
    assert module.EventList.__module__ == wanted
    return module.Environment


def timer_class(compiled: bool) -> Any:
    """The timer of one of the engines."""
    return importlib.import_module("sim.kernel._timer" if compiled else "sim.kernel.timer").Timer
