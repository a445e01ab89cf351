"""Scripts of the project that are no part of a package: docs/make_*.py, notebooks/make_notebooks.py and the like."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

__all__ = ["script"]


@cache
def script(path: Path) -> ModuleType:
    """The module that a script makes when it is imported; each is imported once."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module
