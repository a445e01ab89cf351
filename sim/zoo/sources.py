"""Of which sources a search for a mistake is made: a change of others leaves what was measured as it is.

They are the modules of `sim` that the search, the system and its parts import, directly or through others, also inside
of functions. A package that is only on the way to a module does not count, nor does what draws charts, keeps results,
or reads files: it changes no verdict.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from sim.zoo.bug import Bug

__all__ = ["files_of", "sources_of"]

ROOT = Path(__file__).resolve().parents[2]
APART = (
    *("sim.analysis.plots", "sim.lab.compare", "sim.lab.live", "sim.lab.plots", "sim.lab.reproduce"),
    *("sim.lab.store", "sim.lab.work", "sim.plot", "sim.readers"),
)
"""What changes no verdict."""
SEARCH = ("sim.lab.fuzz.playing", "sim.lab.fuzz.task", "sim.lab.fuzz.mutating", "sim.lab.storm")


def sources_of(bug: Bug) -> str:
    """A digest of the sources of a search for a mistake."""
    found = sha256()
    for file in files_of(bug):
        found.update(_digest(file))
    return found.hexdigest()[:12]


def files_of(bug: Bug) -> list[Path]:
    """The sources of a search for a mistake, sorted."""
    mutated = bug.mutated
    parts = [*mutated.mutated_nodes, *mutated.mutated_parts.values()]  # type: ignore[attr-defined]
    classes = [mutated, type(bug.correct), *parts, *(base for part in parts for base in part.__mro__)]
    modules = {cls.__module__ for cls in classes if cls.__module__.startswith("sim.")}
    members = {member.node_class.__module__ for member in bug.correct.members()}
    return _closure((*SEARCH, *sorted(modules | members)))


def _closure(names: tuple[str, ...]) -> list[Path]:
    seen = dict.fromkeys(names)
    waiting = list(seen)
    while waiting:
        for name in _imported(waiting.pop()):
            if name not in seen and not name.startswith(APART):
                seen[name] = None
                waiting.append(name)
    return sorted(file for name in seen if (file := _file(name)) is not None)


@cache
def _imported(name: str) -> tuple[str, ...]:
    """The modules of ``sim`` that a module imports."""
    file = _file(name)
    return () if file is None else tuple(dict.fromkeys(_names(file)))


def _names(file: Path) -> Iterator[str]:
    for part in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names if alias.name.startswith("sim."))
        elif isinstance(part, ast.ImportFrom) and (part.module or "").startswith("sim."):
            inner = [f"{part.module}.{alias.name}" for alias in part.names]
            modules = [name for name in inner if _file(name) is not None]
            yield from modules
            if len(modules) < len(inner):
                yield str(part.module)


@cache
def _file(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@cache
def _digest(file: Path) -> bytes:
    return file.relative_to(ROOT).as_posix().encode() + sha256(file.read_bytes()).digest()
