"""A package for a protocol, to begin with: node, system, invariants, tests and a scenario, green from the start."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path

from sim.lab.examples import example, refuse_full

__all__ = ["new_protocol"]

_PACKAGE, _CLASS = "firstlog", "FirstLog"  # the names in examples/protocol that the new name replaces
_KEPT = frozenset({".py", ".toml", ".md"})
_LONGEST = 30  # letters of a name; with a longer one, lines of the example get too long


def new_protocol(folder: Path | str) -> list[Path]:
    """Write ``examples/protocol`` into a folder that is new or empty; the name of the folder names the package.

    ``my_store`` gets the package ``my_store`` and the system ``MyStore``. Returns the paths of the files.

    Raises ValueError for a name that is no name of a package, or that is taken, and for a folder that holds something.
    """
    home = Path(folder)
    refuse_full(home)
    template = example("protocol")
    files = [path.relative_to(template) for path in sorted(template.rglob("*")) if path.suffix in _KEPT]
    name = home.absolute().name
    title = _checked(name, home, "".join((template / file).read_text("utf-8") for file in files))
    home.mkdir(parents=True, exist_ok=True)
    made = []
    for file in files:
        text = (template / file).read_text(encoding="utf-8")
        target = home / Path(*(part.replace(_PACKAGE, name) for part in file.parts))
        target.parent.mkdir(exist_ok=True)
        target.write_text(text.replace(_PACKAGE, name).replace(_CLASS, title), encoding="utf-8")
        made.append(target)
    return made


def _checked(name: str, home: Path, text: str) -> str:
    """The name of the system in a package of this name. ``text``: all of the example; its own words are taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or len(name) > _LONGEST:
        raise ValueError(
            f"{name!r} is no name for a package: write at most {_LONGEST} small letters, digits and _, such as my_store"
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    words = set(re.findall(r"\b[A-Za-z]\w*\b", text))
    if title in words or f"{title}Node" in words or name == "tests":
        raise ValueError(f"{name!r} is taken: the files have another {title}; choose another name")
    beside = home.absolute().parent / f"{name}.py"
    if beside.exists():
        raise ValueError(
            f"{name!r} is taken: {beside} has the same name, and Python would import only one of them"
        )
    if _is_module(name, home):
        raise ValueError(f"{name!r} is taken: Python already has a module of that name; choose another name")
    return title


def _is_module(name: str, home: Path) -> bool:
    """Whether Python finds a module of this name, other than the empty folder that the package is written into."""
    found = find_spec(name)
    if found is None:
        return False
    places = [Path(place).resolve() for place in found.submodule_search_locations or ()]
    return places != [home.resolve()]
