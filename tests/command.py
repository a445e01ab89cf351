"""The `sim` command, called by the test itself: what it prints, its exit code. A process of its own costs seconds."""

from __future__ import annotations

import io
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from sim.cli import main

__all__ = ["ROOT", "Done", "sim"]

ROOT = Path(__file__).resolve().parent.parent


class Done(NamedTuple):
    """How the command ended."""

    returncode: int
    stdout: str
    stderr: str


def sim(*arguments: str, cwd: Path = ROOT) -> Done:
    """Run ``sim`` with these arguments in a folder, as `python -m sim` would there."""
    out, err = io.StringIO(), io.StringIO()
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patched, chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        patched.syspath_prepend(str(cwd))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    for name in set(sys.modules) - known:  # a module of that folder is another one's in the next
        file = getattr(sys.modules[name], "__file__", None)
        if cwd != ROOT and file and cwd in Path(file).parents:
            del sys.modules[name]
    code = ended.value.code
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
