"""Where results are found: those of this package by their name, and a user's by ``package.module:NAME``."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from sim.validation import published as room
from sim.validation.form import Published
from sim.written.names import did_you_mean, import_path

__all__ = ["all_results", "result_named"]


def all_results() -> list[Published]:
    """The results of this package, by name: the ``RESULT`` of each module of `sim.validation.published`."""
    found = []
    for module in sorted(pkgutil.iter_modules(room.__path__), key=lambda each: each.name):
        if not module.name.startswith("_"):
            result = import_module(f"{room.__name__}.{module.name}").RESULT
            if result.name != module.name:
                raise ValueError(
                    f"the module {module.name} has the result {result.name}: names must be equal"
                )
            found.append(result)
    return found


def result_named(name: str) -> Published:
    """The result with a name, or at an import path. Raises ValueError, with the nearest name, if there is none."""
    if ":" in name:
        made = import_path(name)
        if not isinstance(made, Published):
            raise ValueError(f"{name} is no published result (a sim.validation.Published), but {made!r}")
        return made
    known = {result.name: result for result in all_results()}
    if name not in known:
        raise ValueError(
            f"there is no published result {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}; "
            "one of your own is package.module:NAME"
        )
    return known[name]
