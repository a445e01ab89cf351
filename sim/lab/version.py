"""Which code ran: the version of the package, and digests of the sources of `sim` and of other modules of a scenario.

Results of other code are told apart by it (see `sim.lab.store`). Sources are read once in a process, as they were when
they were first asked for.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["code_of", "modules_named", "refuse_other_code", "unstable", "version"]

_BUILT = (".so", ".pyd")
_CODE = (".py", ".pyx", ".pxd", *_BUILT, ".csv", ".json")
_ITSELF = "sim"


@cache
def version() -> str:
    """The version of the package and of its sources: ``"0.1.0+3f9c2a41d0b7"``."""
    package = import_module(_ITSELF)
    return f"{package.__version__}+{_source_digest(Path(str(package.__file__)).parent)[:12]}"


def _source_digest(place: Path) -> str:
    """A digest of a file, or of all code in a folder (names and contents)."""
    found = sha256()
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if _is_code(p))
    for file in files:
        found.update(f"{file.relative_to(place.parent).as_posix()}\0".encode())
        found.update(sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _is_code(file: Path) -> bool:
    """Whether a file is code: not so the compiled build of a module (`sim.engine`), because its source is there."""
    source = file.with_name(f"{file.name.partition('.')[0]}.pyx")
    return file.suffix in _CODE and not (file.suffix in _BUILT and source.exists())


def modules_named(tree: Any) -> list[str]:
    """The modules outside ``sim`` that a written form names (``"package.module:Name"``), once each."""
    return list(dict.fromkeys(_named(tree)))


def _named(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for key in ("class", "of"):
            name = tree.get(key)
            if isinstance(name, str) and ":" in name and (key == "class" or tree.get("class") == "function"):
                module = name.partition(":")[0]
                if module.partition(".")[0] != _ITSELF:
                    yield module
        for part in tree.values():
            yield from _named(part)
    elif isinstance(tree, Sequence) and not isinstance(tree, str | bytes):
        for part in tree:
            yield from _named(part)


def unstable(modules: Iterable[str]) -> str | None:
    """The first of these modules whose source is not a file that lasts (a notebook's, ``__main__``); None: none is."""
    return next(
        (name for name in modules if name == "__main__" or _file_of(sys.modules.get(name)) is None), None
    )


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    found = Path(file) if file else None
    return found if found is not None and found.is_file() else None


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """The digest of the sources of each of these modules, and of what they use that is neither ``sim`` nor a library.

    Of a package all files count. A module without a file has the digest "no file".
    """
    found: dict[Path | str, str] = {}
    first = list(modules)
    waiting, seen = list(first), set(first)
    while waiting:
        name = waiting.pop()
        module, place = sys.modules.get(name), _place(name)
        if module is None or (name not in first and (place is None or _is_library(place))):
            continue
        found[place or name] = "no file" if place is None else _loaded_digest(name, place)
        others = [other for other in _used(module) if other not in seen]
        seen.update(others)
        waiting += others
    return {
        place.stem if isinstance(place, Path) else place: digest
        for place, digest in sorted(found.items(), key=str)
    }


def refuse_other_code(expected: Mapping[str, str]) -> None:
    """In a worker: raise RuntimeError where ``sim``, or a module of the user's, is not the one that is expected.

    Modules that are not loaded here don't count: what they define has been sent along.
    """
    here = {"sim": version(), **code_of(name for name in expected if name != _ITSELF and name in sys.modules)}
    for name, digest in expected.items():
        if here.get(name, digest) != digest:
            raise RuntimeError(
                f"the sources of {name} differ between processes: a worker has {here[name][:20]}, "
                f"and its parent {digest[:20]}"
            )


_read: dict[Path, tuple[list[Any], str]] = {}
"""Place -> the loads of its modules (a reload makes a new spec), and the digest of their sources then."""


def _loaded_digest(name: str, place: Path) -> str:
    """The digest of the sources at a place, read once for each time that they are loaded."""
    top = name.partition(".")[0]
    loads = [m.__spec__ for n, m in list(sys.modules.items()) if n.partition(".")[0] == top and m is not None]
    known = _read.get(place)
    if (
        known is None
        or len(known[0]) != len(loads)
        or any(a is not b for a, b in zip(known[0], loads, strict=True))
    ):
        known = _read[place] = (loads, _source_digest(place))
    return known[1]


def _place(name: str) -> Path | None:
    """The folder of the package that a module belongs to, or its file where it stands alone."""
    top = sys.modules.get(name.partition(".")[0])
    own = _file_of(sys.modules.get(name))
    package = _file_of(top)
    return package.parent if package is not None and package.name == "__init__.py" else own


def _used(module: ModuleType) -> Iterator[str]:
    """The modules that a module's source imports when it is loaded, so not those in functions."""
    file = _file_of(module)
    if file is None or file.suffix != ".py":
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for name in _imports(tree, str(module.__package__ or "")):
        if name in sys.modules and name.partition(".")[0] not in (_ITSELF, *sys.builtin_module_names):
            yield name


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for part in ast.iter_child_nodes(tree):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - part.level + 1] if part.level else []
            base = ".".join([*above, *([part.module] if part.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in part.names))
        elif isinstance(part, ast.If) and "TYPE_CHECKING" in ast.unparse(part.test):
            continue
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(part, package)


@cache
def _libraries() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {sysconfig.get_paths()[name] for name in names} | {sys.base_prefix + "/lib"}
    return tuple(sorted(Path(path).resolve() for path in paths))


def _is_library(place: Path) -> bool:
    here = place.resolve()
    return any(library in here.parents for library in _libraries())
