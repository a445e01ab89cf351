"""Whether a message is, at delivery, what it was when it was sent: shared mutable state may not travel.

`digest_of` walks a whole message; two digests are equal when nothing in it was changed. A checked run would spend half
of its time so, at send and at delivery. A *picture* says the same for a fraction of it: it keeps what each object in
the message that can change referred to, and leaves out what cannot (numbers, texts, tuples, frozen dataclasses of
such). At delivery, each of those objects must still refer to the very same ones. `@message` generates both for each
class, as it does the constructor: ``_add_to(picture)`` and ``_refers_to(values)``. Only where something refers to
another object, digests decide: that object may be an equal one.

``_unchanged.pyx`` beside this file has the compiled build of `Picture`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable
from operator import is_
from typing import Any, NoReturn

from sim.values import PLAIN, is_message

__all__ = [
    "MESSAGE",
    "OTHER",
    "TUPLE",
    "Picture",
    "digest_of",
    "is_fixed",
    "look_at",
    "looks",
    "require_unchanged",
]

Parts = tuple[Any, ...]
"""The objects that an object refers to; for one without visible parts, texts that describe its content."""


class Picture:
    """The state of a message when the picture was taken: its mutable objects, and their contents."""

    __slots__ = ("message", "messages", "others")

    def __init__(self, message: Any) -> None:
        self.message = message
        self.messages: list[tuple[Any, Parts]] = []  # it, and those in it
        self.others: list[tuple[_Look, Any, Parts]] = []
        message._add_to(self)

    def is_true(self) -> bool:
        """Whether the message still is what it was."""
        for value, held in self.messages:
            if not value._refers_to(held):
                return self._is_equal()
        for look, value, held in self.others:
            if not look.same(value, held):
                return self._is_equal()
        return True

    def _is_equal(self) -> bool:
        return bool(digest_of(self.message) == _DigestThen(self)(self.message))

    def add(self, value: Any) -> None:
        """Look at a value that is not `PLAIN`: a part of the message."""
        kind = value.__class__
        look = looks.get(kind) or look_at(kind)
        if look is MESSAGE:
            value._add_to(self)
        elif look is TUPLE:
            for item in value:
                if item.__class__ not in PLAIN:
                    self.add(item)
        elif look is not OTHER:
            held = look.held(value)
            self.others.append((look, value, held))
            for item in held:
                if item.__class__ not in PLAIN:
                    self.add(item)
        elif not is_fixed(value):
            self.others.append((look, value, look.held(value)))


# How to look at objects


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """How to look at the objects of a class: what they hold, and whether it is still the very same."""

    held: Callable[[Any], Parts]
    same: Callable[[Any, Parts], bool]


def _fields(value: Any) -> Parts:
    values: Parts = value._field_values()
    return values


def _is_not_asked(value: Any, held: Parts) -> NoReturn:
    raise AssertionError("a message compares itself, and a tuple cannot change")


def _list_is_same(value: list[Any], held: Parts) -> bool:
    return len(value) == len(held) and all(map(is_, value, held))


def _items(value: dict[Any, Any]) -> Parts:
    return (*value, *value.values())


def _dict_is_same(value: dict[Any, Any], held: Parts) -> bool:
    return 2 * len(value) == len(held) and all(map(is_, _items(value), held))


def _texts(value: Any) -> Parts:
    """How a value reads; the items of a set in an order that no hash decides."""
    if isinstance(value, set | frozenset):
        return tuple(sorted(repr(item) for item in value))
    return (repr(value),)


def _reads_same(value: Any, held: Parts) -> bool:
    return _texts(value) == held


MESSAGE = _Look(_fields, _is_not_asked)
TUPLE = _Look(tuple, _is_not_asked)
_LIST = _Look(tuple, _list_is_same)
_DICT = _Look(_items, _dict_is_same)
OTHER = _Look(_texts, _reads_same)

looks: dict[type, _Look] = {}


def look_at(kind: type) -> _Look:
    """How to look at the objects of a class."""
    if issubclass(kind, tuple):
        look = TUPLE
    elif is_message(kind):
        look = MESSAGE
    elif kind is list:
        look = _LIST
    else:
        look = _DICT if issubclass(kind, dict) else OTHER
    looks[kind] = look
    return look


def is_fixed(value: Any) -> bool:
    """Whether nothing in a value can change: by its class, and by those of all that it holds.

    Stricter than `sim.values.is_immutable`, which believes annotations, and classes with a hash of their own.
    """
    kind = type(value)
    if kind in PLAIN:
        return True
    if kind is tuple or kind is frozenset:
        return all(map(is_fixed, value))
    if isinstance(value, enum.Enum):
        return is_fixed(value.value)
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        return all(is_fixed(getattr(value, field.name)) for field in dataclasses.fields(value))
    return False


# The whole walk


class _Digest:
    """Makes the digest of all that a value carries; it differs when anything in it was changed."""

    def __call__(self, value: Any) -> Any:
        kind = value.__class__
        if kind in PLAIN:
            return value
        look = looks.get(kind) or look_at(kind)
        held: Iterable[Any] = self.held(look, value)
        if look is not OTHER:
            held = map(self, held)
        return kind.__name__, tuple(held)

    def held(self, look: _Look, value: Any) -> Parts:
        """The objects to which a value refers."""
        return look.held(value)


class _DigestThen(_Digest):
    """The same, of what a message was when its picture was taken."""

    def __init__(self, picture: Picture) -> None:
        self._then = {id(value): held for value, held in picture.messages}  # id: a look-up, never an order
        self._then.update((id(value), held) for _, value, held in picture.others)

    def held(self, look: _Look, value: Any) -> Parts:
        then = self._then.get(id(value))
        return look.held(value) if then is None else then


digest_of = _Digest()
"""A comparable digest of all that a message carries; it differs when anything in it was changed."""


def require_unchanged(picture: Picture, src: str, dst: str) -> None:
    """Raise AssertionError if a message has changed since it was sent, when the picture was taken."""
    if not picture.is_true():
        raise AssertionError(
            f"{picture.message!r} from {src} to {dst} was changed after it was sent: "
            "messages carry values, not shared mutable state"
        )
