"""The sizes of values on the wire and on disk, in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["WORD", "size_by_class", "size_of", "size_of_items"]

WORD = 8
"""Bytes of a number."""


def size_of(value: Any) -> int:
    """The size of a value on the wire or on disk, in bytes."""
    kind = value.__class__
    size = _sizes.get(kind)
    if size is None:
        size = _sizes[kind] = size_by_class(kind)
    return size if size.__class__ is int else size(value)  # type: ignore[operator]


_sizes: dict[type, int | Callable[[Any], int]] = {}
"""Class -> the size of each of its objects, or the function that computes it."""


def size_by_class(kind: type) -> int | Callable[[Any], int]:
    """The size of each object of a class, or the function that computes it."""
    if kind is str or kind is bytes:
        return len
    if kind is int or kind is float:
        return WORD
    if kind is bool or kind is type(None):
        return 1
    told = getattr(kind, "wire_bytes", None)
    if isinstance(told, int):
        return told
    if isinstance(told, property) and told.fget is not None:
        return told.fget
    has_items = kind is list or kind is frozenset or issubclass(kind, tuple)
    return size_of_items if has_items else _size_of_other


def size_of_items(value: Iterable[Any]) -> int:
    """The size of a container: that of all its items."""
    total = 0
    for item in value:
        kind = item.__class__
        if kind is int:
            total += WORD
        else:
            total += len(item) if kind is str else size_of(item)
    return total


def _size_of_other(value: Any) -> int:
    size = getattr(value, "wire_bytes", None)
    if size is not None:
        return int(size)
    if isinstance(value, dict):
        return sum(size_of(k) + size_of(v) for k, v in value.items())
    return WORD
