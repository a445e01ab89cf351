"""Names of classes in files and on the command line: names of the library, and import paths of other classes.

A name of the library is looked up in the modules (`ROOMS`) for the field of the scenario. An import path is
``package.module:Name``. A file may name a module outside the library only if the user allows this module by name.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any

__all__ = ["ROOMS", "did_you_mean", "exported", "import_path", "named_class", "named_function", "path_of"]

_NETWORK = ("sim.network", "sim.network.topology", "sim.network.wan", "sim.distributions")
ROOMS: dict[str, tuple[str, ...]] = {
    "system": (
        "sim.protocols",
        "sim.protocols.applications",
        "sim.protocols.balancing",
        "sim.protocols.quorums",
        "sim.distributions",
        "sim.placement",
        "sim.protocols.replication.service_times",
    ),
    "network": _NETWORK,
    "workload": ("sim.workload", *_NETWORK),
    "faults": ("sim.faults", "sim.protocols.admin"),
    "machines": ("sim.cluster", *_NETWORK),
    "retry": ("sim",),
    "measures": ("sim.measure", "sim.prices"),
}
"""Field of a scenario -> the modules whose exported names may be written there."""

_ALL = tuple(
    dict.fromkeys(
        (
            *(room for rooms in ROOMS.values() for room in rooms),
            "sim.network.measurements",
            "sim.network.playback",
        )
    )
)
_PATH = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if a word is similar to a known word; else the empty string."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def exported(name: str, rooms: Iterable[str]) -> Iterator[Any]:
    """The callable objects that the modules ``rooms`` export under a name, in the order of the modules."""
    for room in rooms:
        module = importlib.import_module(room)
        if name in module.__all__ and callable(getattr(module, name)):
            yield getattr(module, name)


def import_path(path: str) -> Any:
    """The object at an import path; None if its module has no such name. ValueError if the import fails."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path!r} is no import path: write package.module:Name")
    sys.path.insert(0, "")  # a package in the current folder, as with `python -m`
    try:
        value: Any = importlib.import_module(found["module"])
    except Exception as error:  # a module may raise any exception while it is loaded
        raise ValueError(f"{found['module']} cannot be imported: {error}") from error
    finally:
        sys.path.remove("")
    for part in found["name"].split("."):
        value = getattr(value, part, None)
    return value


def _permitted(module: str, allow: Collection[str]) -> bool:
    parts = module.split(".")
    ours = parts[0] == "sim" and not any(part.startswith("__") for part in parts)
    return ours or module in allow


def _fetched(path: str, allow: Collection[str]) -> Any:
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path!r} is no name: write Raft, or package.module:Name")
    module = found["module"]
    if not _permitted(module, allow):
        raise ValueError(
            f"it names the module {module}, which would be imported and run: allow it by name if you trust it, "
            f"allow=({module!r},), on the command line --allow-module {module}"
        )
    value = import_path(path)
    home = getattr(value, "__module__", None)
    if value is not None and not (isinstance(home, str) and _permitted(home, allow)):
        raise ValueError(f"{path} is defined in the module {home}, which is not allowed")
    return value


def named_class(
    name: str, field: str, fits: Callable[[type], bool], wanted: str, allow: Collection[str]
) -> type:
    """The class with a name. Raises ValueError unless it is a class that fits; no code of the class is called.

    ``field``: the field of the scenario. ``wanted``: a description of the classes that fit, for the error message.
    """
    if ":" in name:
        candidates = [_fetched(name, allow)]
    else:
        candidates = list(exported(name, (*ROOMS.get(field, ()), *_ALL)))
    for candidate in candidates:
        if isinstance(candidate, type) and fits(candidate):
            return candidate
    if all(candidate is None for candidate in candidates):
        known = () if ":" in name else _known(field)
        raise ValueError(f"there is no {name!r}{did_you_mean(name, known)}")
    raise ValueError(f"{name} is not {wanted}")


def _known(field: str) -> list[str]:
    return [name for room in ROOMS.get(field, _ALL) for name in importlib.import_module(room).__all__]


def named_function(path: str, allow: Collection[str]) -> Any:
    """The function at an import path. Raises ValueError unless it is a function that is defined in that module."""
    value = _fetched(path, allow)
    module, _, name = path.partition(":")
    if not isinstance(value, FunctionType | BuiltinFunctionType):
        raise ValueError(f"{path} is no function")
    if (value.__module__, value.__qualname__) != (module, name):
        raise ValueError(f"{path} is defined elsewhere: write {value.__module__}:{value.__qualname__}")
    return value


def path_of(value: Any) -> str:
    """The import path of a class or function. Raises ValueError if it has none."""
    path = f"{value.__module__}:{value.__qualname__}"
    what = "a function without a name" if value.__name__ == "<lambda>" else value.__qualname__
    if "<" in path:
        raise ValueError(
            f"{what} cannot be imported, so that no file can name it: define it at the top of a module"
        )
    found: Any = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not value:
        raise ValueError(f"{path} is something else than what stands here, so that a file cannot name it")
    return path
