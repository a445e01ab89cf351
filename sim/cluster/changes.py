"""Whether an attribute of a node may have changed, asked after every step of a full trace.

`references` lists what can be reached from a value, as far as its text shows it: the last objects in its containers,
and so on. Two such lists of the very same objects mean that nothing has changed. Where they differ, the texts decide
(`sim.plain`).
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping
from typing import Any

from sim.node import Handlers
from sim.plain import DEEPEST, HOSTS_OWN, MOST_ITEMS, attributes_of, last_pairs
from sim.values import PLAIN, is_message

__all__ = ["references"]

_LEAVES = (enum.Enum, type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, Handlers)

_closed: dict[type, bool] = {}
"""Class -> whether its objects need no look inside: they do not change, or belong to the host."""

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
    items: list[Any]
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - the first is quicker to tell
        pairs, length = last_pairs(value), len(value)
        found += [key for key, _ in pairs]  # keys do not change, nor do what sets hold: they have a hash
        items = [item for _, item in pairs]
    elif isinstance(value, set | frozenset):
        found += value
        items, length = [], len(value)
    elif isinstance(value, list | tuple):
        items, length = [*value[-MOST_ITEMS:]], len(value)
    elif hasattr(value, "appendleft"):
        items, length = list(value)[-MOST_ITEMS:], len(value)
    else:
        items = [*attributes_of(value).values()]
        length = len(items)
    found.append(_numbers.setdefault(length, length))
    found += items
    if depth < DEEPEST and not all(map(_is_closed, dict.fromkeys(map(type, items)))):
        for item in items:
            if not (
                _is_closed(item.__class__)
                or (item.__class__ is tuple and all(map(_is_closed, map(type, item))))
            ):
                _walk(item, found, depth + 1)
