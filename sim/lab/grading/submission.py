"""The file of a submission: whether it is Python, and the module in it."""

from __future__ import annotations

import ast
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["load_submission", "why_not_python"]


def why_not_python(file: Path | str) -> str:
    """Why a file cannot be read as Python, in a sentence; empty if it can. It is not executed."""
    path = Path(file)
    if not path.is_file():
        return f"there is no file {str(file)!r}"
    if path.suffix != ".py":
        return f"{str(file)!r} is no Python file: its name does not end in .py"
    try:
        ast.parse(path.read_bytes())
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        return f"{str(file)!r} is no Python file: {error.msg}{where}"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return f"{str(file)!r} is no Python file: {type(error).__name__}: {error}"
    return ""


def load_submission(file: Path | str) -> ModuleType:
    """The module in a submission's file, imported. Raises ValueError for a file that is not there, or no Python."""
    complaint = why_not_python(file)
    if complaint:
        raise ValueError(complaint)
    path = Path(file)
    spec = spec_from_file_location(f"submission_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
