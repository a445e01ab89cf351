"""Messages and other small immutable values, made fast.

`@message` turns a class with annotated fields into a plain slotted value class. It is what
``@dataclass(frozen=True, slots=True)`` would make, at a third of the cost per object: immutability is not
enforced by ``__setattr__`` but by a comparison at delivery when checking is on (`sim.unchanged`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from sim.engine import COMPILED
from sim.sizes import WORD
from sim.values import PLAIN, is_immutable, is_message, is_stateless, shown

if TYPE_CHECKING or not COMPILED:
    from sim.sizes import size_of

    def quicken(kind: type, fields: tuple[str, ...], defaults: dict[str, Any]) -> None:
        """Of the compiled build: construct the objects of a message class in C."""
else:
    from sim._message import quicken, size_of

__all__ = [
    "carried",
    "check_message",
    "is_message",
    "message",
    "newest",
    "registered",
    "replace",
    "size_of",
    "snake",
]

C = TypeVar("C", bound=type)

_FIXED_SIZE = {"int", "float", "bool", "int | None", "float | None", "None"}


@dataclass_transform(frozen_default=True, eq_default=True)
def message(cls: C) -> C:
    """Class decorator: annotated fields become slots, constructor arguments, equality and a readable repr.

    ``__post_init__``, if defined, is called when all fields are set; it may refuse values. ``wire_bytes`` is the size
    of the payload in bytes: a number counts 8, strings and bytes count their length, tuples and nested messages the
    sum of their parts. A class may define its own ``wire_bytes``.

    Raises TypeError when a field without a default follows one with a default, or when a default or another
    attribute of the class is mutable: all messages of the class would share it.
    """
    inherited = [name for base in reversed(cls.__mro__[1:]) for name in getattr(base, "_own_fields", ())]
    own = [name for name, kind in inspect.get_annotations(cls).items() if "ClassVar" not in str(kind)]
    defaults = dict(getattr(cls, "_defaults", {}))
    defaults.update({name: cls.__dict__[name] for name in own if name in cls.__dict__})
    fields = tuple(dict.fromkeys(inherited + own))
    _check_defaults(cls.__name__, fields, defaults)
    _check_attributes(cls, own)
    namespace = {k: v for k, v in cls.__dict__.items() if k not in {*own, "__dict__", "__weakref__"}}
    namespace.update(
        __slots__=tuple(own),
        __match_args__=fields,
        _own_fields=tuple(own),
        _fields=fields,
        _defaults=defaults,
        _is_message=True,
        __qualname__=cls.__qualname__,
    )
    kinds = {
        **getattr(cls, "_kinds", {}),
        **{n: str(k) for n, k in inspect.get_annotations(cls).items()},
    }
    namespace["_kinds"] = kinds
    generated = _generate(fields, defaults, kinds, cls)
    namespace.update({name: function for name, function in generated.items() if name not in cls.__dict__})
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    if COMPILED and "__init__" not in cls.__dict__:
        quicken(made, fields, defaults)
    _registry.setdefault(made.__module__, {})[made.__qualname__] = made
    return made


_registry: dict[str, dict[str, type]] = {}
"""Module -> qualified name -> the newest message class defined there."""


def registered(module: str, scope: str) -> dict[str, type]:
    """The message classes that ``module`` defines directly in ``scope``, by name.

    A scope is the qualified name of a class, or of a function with ``.<locals>`` appended; "" is the module.
    """
    start = f"{scope}." if scope else ""
    classes = _registry.get(module, {})
    return {
        name.removeprefix(start): kind
        for name, kind in classes.items()
        if name.startswith(start) and "." not in name.removeprefix(start)
    }


def newest(kind: type) -> type:
    """The newest definition of the message class ``kind``, whose definition may have run again (in a notebook)."""
    return _registry.get(kind.__module__, {}).get(kind.__qualname__, kind)


def check_message(value: Any) -> None:
    """Raise TypeError for a value that cannot be sent: one that is not an instance of a `@message` class."""
    if isinstance(value, type) and is_message(value):
        raise TypeError(f"{value.__name__} is a class: send an instance of it, {value.__name__}(...)")
    if not is_message(value):
        raise TypeError(
            f"{shown(value)} is no message: define a class with its fields, decorate it with @message "
            "(from sim.node import message), and send an instance of it"
        )


def _check_defaults(name: str, fields: tuple[str, ...], defaults: dict[str, Any]) -> None:
    seen_default = False
    for field in fields:
        if field in defaults:
            seen_default = True
            if not is_immutable(defaults[field]):
                raise TypeError(
                    f"{name}.{field}: the default {shown(defaults[field])} is mutable, and all messages would share "
                    "it; use a tuple, a frozenset or None"
                )
        elif seen_default:
            raise TypeError(f"{name}.{field}: a field without a default follows one with a default")


def _check_attributes(cls: type, fields: list[str]) -> None:
    for name, value in cls.__dict__.items():
        if not name.startswith("__") and name not in fields and not is_stateless(value):
            raise TypeError(
                f"{cls.__name__}.{name}: {shown(value)} is mutable, and all messages would share it; use a tuple, a "
                "frozenset or types.MappingProxyType"
            )


def _generate(
    fields: tuple[str, ...], defaults: dict[str, Any], kinds: dict[str, str], cls: type
) -> dict[str, Any]:
    """The generated methods: constructor, equality, hash, repr, pickling, size on the wire.

    And, for `sim.unchanged`, the values of all fields, and whether they are still the very same objects.
    """
    parameters = "".join(f", {f}=_default_{f}" if f in defaults else f", {f}" for f in fields)
    body = "; ".join(f"self.{f} = {f}" for f in fields) or "pass"
    if hasattr(cls, "__post_init__"):
        body += "; self.__post_init__()"
    values = "(" + "".join(f"self.{f}, " for f in fields) + ")"
    others = "(" + "".join(f"other.{f}, " for f in fields) + ")"
    shown = ", ".join(f"{f}={{self.{f}!r}}" for f in fields)
    same = " and ".join(f"self.{f} is values[{i}]" for i, f in enumerate(fields)) or "True"
    sized = _sized(fields, kinds)
    numbers = len(fields) - len(sized)
    total = " + ".join([str(WORD * numbers), *(f"size_of(self.{f})" for f in sized)])
    source = f"""
def __init__(self{parameters}): {body}
def __eq__(self, other):
    if other.__class__ is not self.__class__: return NotImplemented
    return {values} == {others}
def __hash__(self): return hash({values})
def __repr__(self): return f"{cls.__name__}({shown})"
def __reduce__(self): return (self.__class__, {values})
def _field_values(self): return {values}
def _refers_to(self, values): return {same}
def _add_to(self, picture):
    values = {values}
    picture.messages.append((self, values))
    for value in values:
        if value.__class__ not in PLAIN: picture.add(value)
"""
    if sized:
        source += f"@property\ndef wire_bytes(self): return {total}\n"
    scope: dict[str, Any] = {
        "size_of": size_of,
        "PLAIN": PLAIN,
        **{f"_default_{f}": v for f, v in defaults.items()},
    }
    before = set(scope)
    exec(source, scope)
    made = {k: v for k, v in scope.items() if k not in before and k != "__builtins__"}
    if not sized:
        made["wire_bytes"] = WORD * numbers
    for function in made.values():
        if callable(function):
            function.__qualname__ = f"{cls.__qualname__}.{function.__name__}"
            function.__module__ = cls.__module__
    return made


def _sized(fields: tuple[str, ...], kinds: dict[str, str]) -> list[str]:
    """The fields whose size depends on their value: all but numbers."""
    names = {f: kinds.get(f, "").strip("'\"").removeprefix("<class '").removesuffix("'>") for f in fields}
    return [f for f in fields if names[f] not in _FIXED_SIZE]


def replace(value: Any, /, **changes: Any) -> Any:
    """A copy of a message with some fields changed. Raises TypeError for a field it does not have."""
    unknown = [name for name in changes if name not in value._fields]
    if unknown:
        raise TypeError(f"{value.__class__.__name__} has no field {unknown[0]!r}")
    return value.__class__(*[changes[f] if f in changes else getattr(value, f) for f in value._fields])


def snake(name: str) -> str:
    """``AppendEntries`` -> ``append_entries``, ``PrepareOK`` -> ``prepare_ok``."""
    out: list[str] = []
    for i, letter in enumerate(name):
        boundary = letter.isupper() and i > 0 and (not name[i - 1].isupper() or name[i + 1 : i + 2].islower())
        out.append(("_" if boundary else "") + letter.lower())
    return "".join(out)


def carried(message: Any) -> Iterator[Any]:
    """A message, and what it carries if it is an envelope (a class attribute ``carries`` names the field)."""
    while message is not None:
        yield message
        field = getattr(message.__class__, "carries", None)
        message = None if field is None else getattr(message, field)
