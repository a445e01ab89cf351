"""The folder of a paper. Only modules and scripts in this folder are imported and run."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["drawn_by_script", "inside", "modules_of"]


def inside(folder: Path, name: str, what: str, *, there: bool = True) -> Path:
    """A file below the folder. Raises ValueError for one that lies elsewhere, links followed, or is not there."""
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise ValueError(f"{what}: {name!r} lies outside the folder of the paper, and is not touched")
    if there and not place.is_file():
        raise ValueError(f"{what}: there is no file {name!r} in the folder of the paper")
    return place


def drawn_by_script(folder: Path, name: str, path: Path) -> Path:
    """Run ``figure(path)`` of a script. Raises ValueError for a script without it, and where it writes nothing."""
    script = inside(folder, name, "script")
    module_name = f"sim_paper_{script.stem}"
    spec = importlib.util.spec_from_file_location(module_name, script)
    if spec is None or spec.loader is None:
        raise ValueError(f"{name} is no Python script")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
        draw = getattr(module, "figure", None)
        if not callable(draw):
            raise ValueError(f"{name} defines no function figure(path)")
        draw(path)
    finally:
        del sys.modules[module_name]
    if not path.is_file():
        raise ValueError(f"figure(path) of {name} has written nothing into the file that it was given")
    return path


@contextmanager
def modules_of(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """These modules, imported from the folder; forgotten afterwards. Raises ValueError for one of a library."""
    for name in names:
        loaded = getattr(sys.modules.get(name), "__file__", None)
        foreign = loaded is not None and Path(loaded).resolve().parent != folder
        if name in sys.stdlib_module_names or foreign:
            raise ValueError(f"modules: {name} is a module of Python or of a library; choose another name")
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    # If a file changes within a second and keeps its length, Python would use its old bytecode.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        for name in names:
            importlib.import_module(name)
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
