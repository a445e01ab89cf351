"""The schema of the written form (JSON Schema, draft 2020-12), generated from the classes and their annotations."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from sim.settings import Bounds, Size
from sim.written.hints import Limits, fits, has_table, item_hint, keywords, limited_options, value_hint
from sim.written.names import ROOMS
from sim.written.tree import MARKED

__all__ = ["schema"]

_NONE = {"type": "object", "properties": {"class": {"const": "None"}}, "required": ["class"]}
_SIMPLE: dict[Any, dict[str, Any]] = {
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    NoneType: _NONE,
    None: _NONE,
}
_WORDS = {
    "least": "minimum",
    "above": "exclusiveMinimum",
    "most": "maximum",
    "below": "exclusiveMaximum",
}
"""A field of `Bounds` -> its keyword in the schema."""


def schema() -> dict[str, Any]:
    """The JSON schema of a scenario, for editors and other programs: one definition for each class of the library.

    The schema accepts user-defined classes, named by import path, without checking their fields.
    """
    from sim.lab.scenario import Scenario

    classes = _classes()
    defined = {name: _definition(name, cls, classes) for name, cls in classes.items()}
    own = {
        "type": "object",
        "properties": {"class": {"type": "string", "pattern": f":|^({'|'.join(MARKED)})$"}},
        "required": ["class"],
    }
    top = _definition("Scenario", Scenario, classes)
    top["required"] = [name for name in top["required"] if name != "class"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A scenario of quorumlab",
        **top,
        "$defs": {**defined, "own": own},
    }


def _classes() -> dict[str, type]:
    """Name -> class, for the classes of values in `ROOMS`; if two have one name, the second has its path as name."""
    found: dict[str, type] = {}
    for room in dict.fromkeys(room for rooms in ROOMS.values() for room in rooms):
        module = importlib.import_module(room)
        for name in module.__all__:
            cls = getattr(module, name)
            if not isinstance(cls, type) or not has_table(cls):
                continue
            if cls in found.values():
                continue
            found[name if name not in found else f"{cls.__module__}:{name}"] = cls
    return found


def _definition(name: str, cls: type, classes: Mapping[str, type]) -> dict[str, Any]:
    known = keywords(cls)
    names = [name.rpartition(":")[2], f"{cls.__module__}:{cls.__qualname__}"]
    needed = [n for n, (_, default) in known.items() if default is dataclasses.MISSING]
    return {
        "type": "object",
        "description": (cls.__doc__ or name).strip().partition("\n")[0],
        "properties": {
            "class": {"enum": names},
            **{n: _of(hint, classes) for n, (hint, _) in known.items()},
        },
        "required": ["class", *needed],
        "additionalProperties": False,
    }


def _of(hint: Any, classes: Mapping[str, type]) -> dict[str, Any]:
    found = [
        one | _range(limits) for option, limits in limited_options(hint) for one in _one(option, classes)
    ]
    if {} in found:
        return {}
    return found[0] if len(found) == 1 else {"anyOf": found}


def _range(limits: Limits) -> dict[str, float]:
    """The limits of a number, by the words of JSON Schema."""
    said: dict[str, float] = {}
    for limit in limits:
        if isinstance(limit, Size):
            said["maximum"] = limit.most
        elif isinstance(limit, Bounds):
            said |= {
                word: bound for name, word in _WORDS.items() if (bound := getattr(limit, name)) is not None
            }
    return said


def _one(hint: Any, classes: Mapping[str, type]) -> list[dict[str, Any]]:
    """The schemas of one alternative of an annotation; ``{}`` accepts everything."""
    if hint in _SIMPLE:
        return [_SIMPLE[hint]]
    origin = get_origin(hint)
    if origin is Literal:
        return [{"enum": list(get_args(hint))}]
    base = origin or hint
    if isinstance(base, type) and issubclass(base, Mapping):
        return [{"type": "object", "additionalProperties": _of(value_hint(hint), classes)}]
    if origin is tuple or (isinstance(origin, type) and len(get_args(hint)) == 1):
        parts = get_args(hint)
        if origin is tuple and parts and parts[-1] is not Ellipsis:
            items = [_of(part, classes) for part in parts]
            return [{"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}]
        return [{"type": "array", "items": _of(item_hint(hint, 0), classes)}]
    if isinstance(hint, type):
        refs = [{"$ref": f"#/$defs/{name}"} for name, cls in classes.items() if fits(cls, hint)]
        return [*refs, {"$ref": "#/$defs/own"}]
    return [{}]
