"""Immutable values: only these may be written to disk, be a class attribute, or be the default of a message field.

The class of a value decides whether it is immutable. Immutable are: numbers, strings and enums; tuples, frozensets and
read-only mappings of immutable values; messages and frozen dataclasses with immutable fields; and classes that define
their own hash. ``_values.pyx`` beside this file has the compiled build of `is_immutable`, for the values that are
written to disk.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import logging
import types
from collections.abc import Callable
from typing import Any

__all__ = ["PLAIN", "holds_nothing", "is_immutable", "is_message", "is_stateless", "shown", "study"]

PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
"""The classes of what cannot change, and holds nothing that could."""

_SCALARS = (str, int, float, complex, bytes, range, type(None), type(Ellipsis), type(NotImplemented))
_SCALAR_NAMES = frozenset({"str", "int", "float", "bool", "bytes", "None"})

_HEAP_TYPE = 1 << 9  # a flag of classes that were made by a class statement

Doubtful = tuple[str, ...] | Callable[[Any], bool]
"""The names of the fields that must be checked in each value of a class, or a function that checks the value."""

_doubtful: dict[type, Doubtful] = {}


def is_message(value: object) -> bool:
    """Whether ``value`` is a class made by `@message`, or an instance of one."""
    return getattr(value, "_is_message", False) is True


def is_immutable(value: Any) -> bool:
    """Whether nothing in a value can change. Fields annotated as numbers or strings are not looked at."""
    kind = value.__class__
    try:
        doubtful = _doubtful[kind]
    except KeyError:
        doubtful = _doubtful[kind] = study(kind)
    if doubtful.__class__ is tuple:
        for name in doubtful:  # noqa: SIM110 - a loop is quicker
            if not is_immutable(getattr(value, name, None)):
                return False
        return True
    return doubtful(value)  # type: ignore[operator]


def study(kind: type) -> Doubtful:
    """How to check the values of a class: see `Doubtful`."""
    if issubclass(kind, tuple | frozenset):
        return _has_immutable_items
    if kind is types.MappingProxyType:
        return _has_immutable_values
    if kind is object or issubclass(kind, (*_SCALARS, enum.Enum, type)):
        return ()
    if is_message(kind):
        return tuple(name for name in kind._fields if not _is_scalar(kind._kinds.get(name)))  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(kind):
        if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            return _changes
        return tuple(f.name for f in dataclasses.fields(kind) if not _is_scalar(f.type))
    by_value = kind.__hash__ is not None and kind.__hash__ is not object.__hash__
    return () if by_value and kind is not memoryview else _changes


def _is_scalar(annotation: Any) -> bool:
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return all(part.strip(" '\"") in _SCALAR_NAMES for part in name.split("|"))


def _has_immutable_items(value: Any) -> bool:
    for item in value:  # noqa: SIM110 - a loop is quicker
        if item.__class__ not in PLAIN and not is_immutable(item):
            return False
    return True


def _has_immutable_values(value: Any) -> bool:
    return all(map(is_immutable, value.values()))


def _changes(value: Any) -> bool:
    return False


def is_stateless(value: Any) -> bool:
    """Whether an object may be shared by all instances of a class: immutable, a descriptor, a class, a function."""
    kind = type(value)
    if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | logging.Logger):
        return True
    if isinstance(value, tuple):
        return all(is_stateless(item) for item in value)
    if isinstance(value, functools.partial):
        return is_immutable(value.args) and all(is_immutable(v) for v in value.keywords.values())
    if any(hasattr(kind, special) for special in ("__get__", "__set__", "__set_name__")):
        return True
    return kind.__module__ == "typing" or is_immutable(value) or holds_nothing(value)


def holds_nothing(value: Any) -> bool:
    """Whether an object has a plain Python class and no attributes, such as a strategy or a marker."""
    plain = all(
        base.__flags__ & _HEAP_TYPE and not base.__dict__.get("__slots__")
        for base in type(value).__mro__[:-1]
    )
    return plain and not getattr(value, "__dict__", True)


def shown(value: Any) -> str:
    """A value in an error message: its repr, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
