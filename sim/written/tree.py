"""Values as trees of plain data, and back.

====================================  =====================================================================
a value (frozen dataclass, message)   a table of its keywords, and ``class``; keywords left out have their defaults
numbers, texts, True, False           themselves
None                                  left out where it is the default, else ``{class = "None"}``: TOML has no null
a tuple                               an array
a mapping from texts                  a table without ``class``
another mapping, a list, a set        ``{class = "dict", of = [[key, value], ...]}``, ``"list"``, ``"frozenset"``
bytes, inf, nan                       ``{class = "bytes", of = "00ff"}``, ``{class = "float", of = "inf"}``
a function                            ``{class = "function", of = "package.module:name"}``
a frozen distribution of scipy.stats  ``{class = "scipy", name = "gamma", args = [2.0], kwds = {scale = 0.1}}``
====================================  =====================================================================

No field can have the name ``class``, because it is a keyword of Python. If only one class fits a field (``retry``), a
table without ``class`` is a value of that class.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from sim.made import Made
from sim.settings import Value
from sim.values import shown
from sim.written.hints import (
    Keywords,
    fits,
    has_table,
    implied,
    item_hint,
    keywords,
    options,
    value_hint,
    wanted,
)
from sim.written.names import ROOMS, did_you_mean, named_class, named_function, path_of

__all__ = ["MARKED", "from_dict", "from_tree", "to_dict", "to_tree"]

_CLASS = "class"


@dataclass(frozen=True)
class _Place:
    """A position in a tree: the path for error messages, the field of the scenario, and the allowed modules."""

    path: str
    field: str = ""
    allow: Collection[str] = ()

    def of(self, name: str) -> _Place:
        return replace(self, path=f"{self.path}.{name}", field=self.field or (name if name in ROOMS else ""))

    def item(self, index: int) -> _Place:
        return replace(self, path=f"{self.path}[{index}]")

    def refused(self, why: object) -> ValueError:
        return ValueError(f"{self.path}: {why}")


# Writing


def to_dict(value: Any, path: str | None = None) -> dict[str, Any]:
    """A value (a scenario, a system, a network ...) as plain data: tables, arrays, strings, numbers, True and False.

    Raises ValueError, with the path, for a part without written form: a lambda, a class inside a function, a node.
    """
    if isinstance(value, type) or not has_table(type(value)):
        raise ValueError(f"only a value has a written form as a table, not {shown(value)}")
    kind = type(value).__name__
    tree: dict[str, Any] = _plain(value, Any, _Place(path or kind.lower()))
    return tree


def to_tree(value: Any, field: str = "") -> Any:
    """Like `to_dict`, for any object with a written form; ``field``: the field of a scenario to which it belongs."""
    return _plain(value, Any, _Place(field or "value", field if field in ROOMS else ""))


def _plain(value: Any, hint: Any, at: _Place) -> Any:
    if value is None:
        return {_CLASS: "None"}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return _text(value, at)
    if type(value) in (bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {_CLASS: "float", "of": repr(value)}
    if type(value) is tuple:
        if all(
            map(_is_written_number, value)
        ):  # samples are many, and no annotation changes how they are written
            return list(value)
        return [_plain(item, item_hint(hint, i), at.item(i)) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return _mapping(value, hint, at)
    if isinstance(value, list | set | frozenset | bytes):
        return _collection(value, at)
    if isinstance(value, FunctionType | BuiltinFunctionType):
        return {_CLASS: "function", "of": _importable(value, at)}
    if _is_scipy(value):
        return _scipy(value, at)
    if not isinstance(value, type) and has_table(type(value)):
        return _table(value, hint, at)
    raise at.refused(f"{shown(value)} has no written form")


def _is_written_number(value: Any) -> bool:
    kind = type(value)
    return kind is int or (kind is float and math.isfinite(value))


def _text(value: str, at: _Place) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise at.refused(f"{value!r} holds half a character, which no file can hold") from None
    return str(value)


def _collection(value: Any, at: _Place) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {_CLASS: "bytes", "of": value.hex()}
    items = [_plain(item, Any, at.item(i)) for i, item in enumerate(value)]
    if isinstance(value, list):
        return {_CLASS: "list", "of": items}
    return {
        _CLASS: type(value).__name__,
        "of": sorted(items, key=lambda item: json.dumps(item, sort_keys=True)),
    }


def _mapping(value: Mapping[Any, Any], hint: Any, at: _Place) -> dict[str, Any]:
    if all(type(key) is str for key in value) and _CLASS not in value:
        return {_text(k, at): _plain(v, value_hint(hint), at.of(k)) for k, v in value.items()}
    pairs = [[_plain(k, Any, at), _plain(v, value_hint(hint), at.of(str(k)))] for k, v in value.items()]
    return {_CLASS: "dict", "of": pairs}


def _table(value: Any, hint: Any, at: _Place) -> dict[str, Any]:
    cls = type(value)
    known = keywords(cls)
    given: frozenset[str] = getattr(value, "given", frozenset())
    made_of = _made_of(value, known, at)
    tree: dict[str, Any] = {_CLASS: _name_of(cls, hint, at)}
    for name, held in made_of.items():
        part_hint, default = known[name]
        if name in given or not _alike(held, default):
            tree[name] = _plain(held, part_hint, at.of(name))
    return tree


def _made_of(value: Any, known: Keywords, at: _Place) -> dict[str, Any]:
    try:
        return value.made_of() if isinstance(value, Value | Made) else {n: getattr(value, n) for n in known}
    except ValueError as error:
        raise at.refused(error) from None


def _alike(held: Any, default: Any) -> bool:
    try:
        return type(held) is type(default) and bool(held == default)
    except (TypeError, ValueError):
        return False


def _name_of(cls: type, hint: Any, at: _Place) -> str:
    """The shortest name under which the class is found again at this place."""
    if cls.__module__ == "sim" or cls.__module__.startswith("sim."):
        if cls.__name__ == "Scenario":
            return "Scenario"
        try:
            if named_class(cls.__name__, at.field, lambda kind: fits(kind, hint), "", ()) is cls:
                return cls.__name__
        except ValueError:
            pass
    return _importable(cls, at)


def _importable(value: Any, at: _Place) -> str:
    try:
        return path_of(value)
    except ValueError as error:
        raise at.refused(error) from None


def _is_scipy(value: Any) -> bool:
    return (
        type(value).__module__.startswith("scipy.stats") and hasattr(value, "dist") and hasattr(value, "kwds")
    )


def _scipy(value: Any, at: _Place) -> dict[str, Any]:
    import scipy.stats

    name = value.dist.name
    if type(getattr(scipy.stats, str(name), None)) is not type(value.dist):
        raise at.refused(
            f"{name} is no distribution of scipy.stats by that name, so that a file cannot name it; "
            "draw samples of it and give those"
        )
    tree: dict[str, Any] = {_CLASS: "scipy", "name": name}
    if value.args:
        tree["args"] = [_plain(item, Any, at.item(i)) for i, item in enumerate(value.args)]
    if value.kwds:
        tree["kwds"] = {key: _plain(item, Any, at.of(key)) for key, item in value.kwds.items()}
    return tree


# Reading


def from_dict(tree: Any, kind: Any = Any, *, allow: Collection[str] = (), path: str | None = None) -> Any:
    """The value that a tree describes.

    Parameters
    ----------
    kind:
        The class that the value must have: `Scenario`, `System`, `Topology` ...
    allow:
        Names of modules outside ``sim`` that the tree may name. They are imported, which runs their code.

    Raises ValueError, with the path, for an unknown name, a class of another kind, a module that is not allowed, an
    unknown or missing field, and a value that the class refuses.
    """
    if isinstance(allow, str):
        raise ValueError(f"allow must be a tuple of names of modules, not {allow!r}; write ({allow!r},)")
    name = path or (kind.__name__.lower() if isinstance(kind, type) else "value")
    if not isinstance(tree, Mapping):
        raise ValueError(f"{name}: a table is needed, not {shown(tree)}")
    return _read(tree, kind, _Place(name, allow=tuple(allow)))


def from_tree(tree: Any, field: str = "", allow: Collection[str] = ()) -> Any:
    """The value of a tree that `to_tree` made."""
    return _read(tree, Any, _Place(field or "value", field if field in ROOMS else "", tuple(allow)))


def _read(tree: Any, hint: Any, at: _Place) -> Any:
    if isinstance(tree, Mapping):
        return _read_table(tree, hint, at)
    if isinstance(tree, list | tuple):
        return tuple(_read(item, item_hint(hint, i), at.item(i)) for i, item in enumerate(tree))
    if tree is None or isinstance(tree, str | bool | int | float):
        return tree
    raise at.refused(f"{tree} is neither number, text, table nor array")


def _read_table(tree: Mapping[str, Any], hint: Any, at: _Place) -> Any:
    for key in tree:
        if not isinstance(key, str):
            raise at.refused(f"the keys of a table are texts, not {key!r}")
    name = tree.get(_CLASS)
    if name is None:
        only = implied(hint)
        if only is not None:
            return _made(only, tree, at)
        return {key: _read(item, value_hint(hint), at.of(key)) for key, item in tree.items()}
    if not isinstance(name, str):
        raise at.refused(f"class must be a name, not {shown(name)}")
    if name in MARKED:
        return _read_marked(name, tree, hint, at)
    if name == "Scenario":
        name = "sim.lab.scenario:Scenario"
    try:
        cls = named_class(name, at.field, lambda kind: fits(kind, hint), wanted(hint), at.allow)
    except ValueError as error:
        raise at.refused(error) from error
    return _made(cls, {key: item for key, item in tree.items() if key != _CLASS}, at)


def _made(cls: type, tree: Mapping[str, Any], at: _Place) -> Any:
    known = keywords(cls)
    for name in tree:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise at.refused(f"{cls.__name__} has no field {name!r}{did_you_mean(name, known)}; {has}")
    missing = [n for n, (_, default) in known.items() if default is dataclasses.MISSING and n not in tree]
    if missing:
        raise at.refused(f"{cls.__name__} needs {', '.join(missing)}")
    given = {name: _read(item, known[name][0], at.of(name)) for name, item in tree.items()}
    try:
        return cls(**given)
    except (ValueError, TypeError, OSError, NotImplementedError) as error:
        raise at.refused(error) from error


# Reading of objects that are not values of a class: one function for each name in `MARKED`


def _read_marked(name: str, tree: Mapping[str, Any], hint: Any, at: _Place) -> Any:
    parts = {"None": set(), "scipy": {"name", "args", "kwds"}}.get(name, {"of"})
    spare = sorted({*tree} - {_CLASS, *parts})
    if spare:
        raise at.refused(f"{name} has no {spare[0]!r}")
    try:
        return MARKED[name](tree, hint, at)
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, ValueError) and str(error).startswith(at.path):
            raise
        raise at.refused(f"this is no {name}: {error}") from error


def _items(tree: Mapping[str, Any], at: _Place) -> list[Any]:
    if not isinstance(tree["of"], list | tuple):
        raise ValueError(f"of must be an array, not {shown(tree['of'])}")
    return [_read(item, Any, at.item(i)) for i, item in enumerate(tree["of"])]


def _pairs(tree: Mapping[str, Any], hint: Any, at: _Place) -> dict[Any, Any]:
    pairs = _items(tree, at)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError("of must be an array of pairs")
    return dict(pairs)


def _function(tree: Mapping[str, Any], hint: Any, at: _Place) -> Any:
    if not any(getattr(option, "__origin__", option) is Callable for option in options(hint)):
        raise ValueError(f"a function is not {wanted(hint)}")
    return named_function(str(tree["of"]), at.allow)


def _float(tree: Mapping[str, Any], hint: Any, at: _Place) -> float:
    if tree["of"] not in ("inf", "-inf", "nan"):
        raise ValueError(f"of must be 'inf', '-inf' or 'nan', not {shown(tree['of'])}")
    return float(tree["of"])


def _read_scipy(tree: Mapping[str, Any], hint: Any, at: _Place) -> Any:
    import scipy.stats

    found = getattr(scipy.stats, str(tree["name"]), None)
    if not isinstance(found, scipy.stats.rv_continuous | scipy.stats.rv_discrete):
        raise ValueError(f"scipy.stats has no distribution {tree['name']!r}")
    args = _read(tree.get("args", []), Any, at.of("args"))
    kwds = _read(tree.get("kwds", {}), Any, at.of("kwds"))
    if not all(isinstance(number, int | float) for number in (*args, *dict(kwds).values())):
        raise ValueError("its parameters must be numbers")
    return found(*args, **kwds)


MARKED: dict[str, Callable[[Mapping[str, Any], Any, _Place], Any]] = {
    "None": lambda tree, hint, at: None,
    "float": _float,
    "bytes": lambda tree, hint, at: bytes.fromhex(tree["of"]),
    "list": lambda tree, hint, at: _items(tree, at),
    "set": lambda tree, hint, at: set(_items(tree, at)),
    "frozenset": lambda tree, hint, at: frozenset(_items(tree, at)),
    "dict": _pairs,
    "function": _function,
    "scipy": _read_scipy,
}
