"""The names and texts in the code of a class: to see what it may have or say, before it runs."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Any

from sim.node import Node, Part

__all__ = ["has_attribute", "mentions"]


def mentions(node_class: type) -> frozenset[str]:
    """The names and the texts in the methods of a class, of its bases and of its parts."""
    return _mentions(node_class)


@cache
def _mentions(node_class: Any) -> frozenset[str]:
    return frozenset(_mentioned(node_class))


def has_attribute(node_class: type, name: str) -> bool:
    """Whether a node of this class may have an attribute, as far as can be seen; ``"part.name"``: one of its parts."""
    if "." in name:
        part, _, name = name.rpartition(".")
        made = getattr(node_class, "_parts", {}).get(part)
        return made is not None and has_attribute(made.cls, name)
    return hasattr(node_class, name) or name in mentions(node_class)


def _mentioned(node_class: type) -> Iterator[str]:
    for cls in node_class.__mro__:
        if cls in (Node, Part, object):
            continue
        for member in vars(cls).values():
            for function in (
                member,
                *(getattr(member, name, None) for name in ("fget", "__func__", "__wrapped__")),
            ):
                code = getattr(function, "__code__", None)
                if code is not None:
                    yield from _names(code)
        for declaration in getattr(cls, "_parts", {}).values():
            yield from _mentioned(declaration.cls)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, types.CodeType):
            yield from _names(constant)
