"""Questions about the annotations of fields, for the reader, the writer and the schema."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from sim.made import Made, arguments_of
from sim.settings import Value, described, hints
from sim.system import default_of
from sim.values import is_message

__all__ = [
    "Keywords",
    "Limits",
    "fits",
    "has_table",
    "implied",
    "item_hint",
    "keywords",
    "limited_options",
    "options",
    "value_hint",
    "wanted",
]

Keywords = dict[str, tuple[Any, Any]]
"""Keyword -> its annotation, and its default (`dataclasses.MISSING`: none)."""

Limits = tuple[Any, ...]
"""What ``Annotated`` says of an alternative besides its type."""


def keywords(cls: type) -> Keywords:
    """The parameters of the constructor of a class of values."""
    known: dict[str, Any] = {}
    if issubclass(cls, Made):
        known = {name: hint for name, (hint, _) in arguments_of(cls).items()}
    if dataclasses.is_dataclass(cls):
        known = dict(hints(cls))
    elif is_message(cls):
        known = dict(getattr(cls, "_kinds", {}))
    fields = {f.name: f for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    found: Keywords = {}
    for name, parameter in inspect.signature(cast(Any, cls).__init__).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = dataclasses.MISSING if parameter.default is parameter.empty else parameter.default
        field = fields.get(name)
        if field is not None:
            default = default_of(field)
        hint = known.get(name, Any)
        found[name] = (Any if isinstance(hint, str) else hint, default)
    return found


def options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union, without the limits of ``Annotated``."""
    return tuple(option for option, _ in limited_options(hint))


def limited_options(hint: Any) -> tuple[tuple[Any, Limits], ...]:
    """The alternatives of a union, each with its limits (`Bounds` and `Size` of ``Annotated``)."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return tuple((option, inner + parts[1:]) for option, inner in limited_options(parts[0]))
    if origin in (Union, UnionType):
        return tuple(found for part in parts for found in limited_options(part))
    return ((hint, ()),)


def _is_value(cls: type) -> bool:
    return issubclass(cls, Value | Made) or is_message(cls)


def has_table(cls: type) -> bool:
    """Whether the written form of the instances of a class is a table."""
    return dataclasses.is_dataclass(cls) or is_message(cls) or issubclass(cls, Made)


def fits(cls: type, hint: Any) -> bool:
    """Whether instances of a class of values fit the annotation. No code of the class is called."""
    params = getattr(cls, "__dataclass_params__", None)
    if not (issubclass(cls, Made) or is_message(cls) or (params is not None and params.frozen)):
        return False
    for option in options(hint):
        if option is Any or option is object:
            if _is_value(cls):
                return True
        elif isinstance(option, type) and option is not NoneType and get_origin(option) is None:
            try:
                if issubclass(cls, option):
                    return True
            except TypeError:  # a typing.Protocol with attributes that are not methods
                continue
    return False


def implied(hint: Any) -> type | None:
    """The class of a table without ``class``: the only class that fits the annotation, unless mappings fit, too."""
    found = [o for o in options(hint) if isinstance(o, type) and dataclasses.is_dataclass(o)]
    if len(found) != 1 or any(_is_mapping(option) for option in options(hint)):
        return None
    return found[0] if keywords(found[0]) else None


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)


def value_hint(hint: Any) -> Any:
    """The annotation of the values of a mapping."""
    for option in options(hint):
        if _is_mapping(option):
            return (*get_args(option), Any, Any)[1]
    return Any


def item_hint(hint: Any, index: int) -> Any:
    """The annotation of one entry of a sequence."""
    for option in options(hint):
        origin, parts = get_origin(option), get_args(option)
        if origin is tuple and parts:
            if parts[-1] is Ellipsis:
                return parts[0]
            if index < len(parts):
                return parts[index]
        elif origin is not None and origin is not Literal and not _is_mapping(option) and len(parts) == 1:
            return parts[0]
    return Any


def wanted(hint: Any) -> str:
    """The values that an annotation allows, in words."""
    return "a value of the library" if hint is Any else described(hint)
