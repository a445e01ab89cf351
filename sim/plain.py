"""Anything as plain data, for traces: what a message says, and what a node holds.

It is the written form (`sim.written`) for reading only: it never fails, and nothing is made from it again. Tables say
their ``class``; tuples and lists are arrays; a set says so and is in the order of its texts. What belongs to the host
(streams, events, other nodes) is shown by its name, never by an address. What is large is cut, and says so:
``{"class": "cut", "length": 1000, "last": [...]}``.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
from collections.abc import Mapping
from itertools import islice
from typing import Any

from sim.node import Handlers
from sim.values import is_message

__all__ = [
    "DEEPEST",
    "HOSTS_OWN",
    "MOST_ITEMS",
    "attributes_of",
    "last_pairs",
    "operations_in",
    "plain",
    "plain_fields",
    "text_of",
]

MOST_ITEMS = 10  # shown of one container
_MOST_LETTERS = 400
_MOST_VALUES = 500  # in one value, all levels together
DEEPEST = 8  # levels that are shown

_encode = json.JSONEncoder(separators=(",", ":")).encode


WrittenMessages = dict[tuple[int, int], tuple[Any, Any, int]]
"""Messages that were written before, by id (a look-up, never an order) and depth: the message, its form, its size."""


def text_of(value: Any, known: WrittenMessages | None = None) -> tuple[str, WrittenMessages]:
    """A value as JSON, always the same for equal values; and what makes the next call quicker, given as ``known``."""
    walk = _Plain(known)
    return _encode(walk(value, 0)), walk.known


def plain(value: Any) -> Any:
    """A value as plain data."""
    return _Plain()(value, 0)


def plain_fields(message: Any) -> str:
    """The fields of a message as JSON."""
    return _encode({name: plain(getattr(message, name)) for name in message._fields})


class _Plain:
    """Walks through one value, and stops when it is too large."""

    def __init__(self, known: WrittenMessages | None = None) -> None:
        self._left = _MOST_VALUES
        self._before = known or {}
        self.known: WrittenMessages = {}

    def __call__(self, value: Any, depth: int) -> Any:
        kind = value.__class__
        if kind is int or kind is bool or value is None:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"class": "float", "of": repr(value)}
        if isinstance(value, str):
            return str(value) if len(value) <= _MOST_LETTERS else _cut(value)
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return {"class": "cut", "of": kind.__name__}
        return self._inside(value, kind, depth + 1)

    def _inside(self, value: Any, kind: type, depth: int) -> Any:
        if is_message(kind):
            return self._message(value, kind, depth)
        if kind is tuple or kind is list:
            return self._items(value, depth)
        if hasattr(kind, "appendleft"):
            return self._items(list(value), depth)
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return self._table(kind, dict(zip(kind._fields, value, strict=True)), depth)
        if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - the first is quicker to tell
            return self._mapping(value, depth)
        if isinstance(value, set | frozenset):
            items = sorted(value, key=repr)
            return {"class": kind.__name__, "of": self._items(items, depth)}
        if isinstance(value, list | tuple):
            return {"class": kind.__name__, "of": self._items(list(value), depth)}
        return self._object(value, kind, depth)

    def _message(self, value: Any, kind: Any, depth: int) -> Any:
        """A message does not change, so its form is kept, if it was not cut."""
        place = id(value), depth
        known = self._before.get(place)
        if known is None or known[0] is not value or known[2] > self._left:
            before = self._left
            tree = self._table(kind, {name: getattr(value, name) for name in kind._fields}, depth)
            if self._left < 0:
                return tree
            known = value, tree, before - self._left
        else:
            self._left -= known[2]
        self.known[place] = known
        return known[1]

    def _items(self, items: Any, depth: int) -> Any:
        if len(items) <= MOST_ITEMS:
            return [self(item, depth) for item in items]
        last = [self(item, depth) for item in items[-MOST_ITEMS:]]
        return {"class": "cut", "length": len(items), "last": last}

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        pairs = last_pairs(value)
        if len(value) > MOST_ITEMS:
            last = [[self(k, depth), self(v, depth)] for k, v in pairs]
            return {"class": "cut", "length": len(value), "last": last}
        if all(type(key) is str for key, _ in pairs) and "class" not in value:
            return {key: self(item, depth) for key, item in pairs}
        return {"class": "dict", "of": [[self(k, depth), self(v, depth)] for k, v in pairs]}

    def _table(self, kind: type, fields: Mapping[str, Any], depth: int) -> Any:
        return {"class": kind.__name__, **{name: self(item, depth) for name, item in fields.items()}}

    def _object(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, bytes | bytearray):
            return {"class": "bytes", "of": value[:_MOST_LETTERS].hex()}
        if isinstance(value, enum.Enum):
            return {"class": kind.__name__, "name": value.name}
        if isinstance(value, type | types.FunctionType | types.MethodType | types.BuiltinFunctionType):
            return {"class": "function", "of": value.__qualname__}
        if isinstance(value, Handlers):
            return {"class": kind.__name__, "name": value.name}
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return self._table(kind, {n: getattr(value, n) for n in names if hasattr(value, n)}, depth)
        if kind.__module__ == "numpy" and hasattr(value, "tolist"):
            return self(value.tolist(), depth)
        if kind.__module__.startswith(HOSTS_OWN):
            return {"class": kind.__name__}
        return self._table(kind, attributes_of(value), depth)


HOSTS_OWN = ("simpy", "sim.kernel", "sim.cluster", "sim.network", "sim.recorder", "sim.lab", "builtins")
"""Modules of objects that, on a node, belong to its host or have no visible content (generators, iterators)."""


def attributes_of(value: Any) -> dict[str, Any]:
    """The attributes of an object, in slots or not, without the journal of a durable log."""
    found: dict[str, Any] = {}
    for base in reversed(type(value).__mro__):
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name != "_journal" and hasattr(value, name):
                found[name] = getattr(value, name)
    found.update(getattr(value, "__dict__", {}))
    return found


def last_pairs(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """The last keys and values of a mapping, as many as are shown of a large one."""
    if len(value) <= MOST_ITEMS:
        return list(value.items())
    if isinstance(value, dict):
        return list(islice(reversed(value.items()), MOST_ITEMS))[::-1]
    return list(value.items())[-MOST_ITEMS:]


def _cut(text: str) -> dict[str, Any]:
    return {"class": "cut", "length": len(text), "first": text[:_MOST_LETTERS]}


def operations_in(message: Any) -> list[tuple[int, int]]:
    """The operations of clients that a message is about, as (session, sequence), each once, in order.

    They are found in all messages with fields of these names, itself or within it: commands, replies, redirects.
    """
    found: dict[tuple[int, int], None] = {}
    _find_operations(message, found)
    return list(found)


def _find_operations(value: Any, found: dict[tuple[int, int], None]) -> None:
    kind = value.__class__
    if is_message(kind):
        names = value._fields
        if "session" in names and "sequence" in names and type(value.session) is int is type(value.sequence):
            if value.session >= 0:  # a no-op has none
                found[value.session, value.sequence] = None
            return
        inner = value._field_values()
    elif isinstance(value, tuple | list | set | frozenset):
        inner = value
    elif isinstance(value, dict):
        inner = value.values()
    else:
        return
    for item in inner:
        if not isinstance(item, str | int | float):
            _find_operations(item, found)
