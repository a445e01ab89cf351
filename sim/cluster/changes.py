"""Whether an attribute of a node may have changed, asked after every step of a full trace.

`references` lists what can be reached from a value: the objects in its containers, and so on. Two such lists of the
very same objects mean that nothing has changed. Where they differ, the texts decide (`sim.plain`).
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping
from typing import Any

from sim.node import Handlers
from sim.plain import HOSTS_OWN, attributes_of
from sim.values import PLAIN, is_message

__all__ = ["references"]

_DEEPEST = 8
_LEAVES = (enum.Enum, type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, Handlers)

_closed: dict[type, bool] = {}
"""Class -> whether there is nothing in its objects to look for: they do not change, or belong to the host."""

_numbers: dict[int, int] = {}  # so that equal lengths are the same object


def references(value: Any) -> list[Any]:
    """All objects that a value holds, and those that they hold, with the length of each container."""
    found: list[Any] = [value]
    if not _is_closed(value.__class__):
        _walk(value, found, 0)
    return found


def _is_closed(kind: type) -> bool:
    known = _closed.get(kind)
    if known is None:
        known = _closed[kind] = _study(kind)
    return known


def _study(kind: type) -> bool:
    if kind in PLAIN or is_message(kind) or issubclass(kind, _LEAVES):
        return True
    if dataclasses.is_dataclass(kind):
        return bool(kind.__dataclass_params__.frozen)  # type: ignore[attr-defined]
    if issubclass(kind, list | tuple | set | frozenset | Mapping) or hasattr(kind, "appendleft"):
        return False
    return kind.__module__.startswith(HOSTS_OWN)


def _walk(value: Any, found: list[Any], depth: int) -> None:
    if isinstance(value, Mapping):
        items = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset) or hasattr(value, "appendleft"):
        items = [*value]
    else:
        items = [*attributes_of(value).values()]
    found.append(_numbers.setdefault(len(items), len(items)))
    found += items
    if depth < _DEEPEST:
        kinds = dict.fromkeys(map(type, items))
        if not all(map(_is_closed, kinds)):
            for item in items:
                if not _is_closed(item.__class__):
                    _walk(item, found, depth + 1)
