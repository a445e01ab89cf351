"""What the fields of a value may hold: one rule, by their annotations, for systems, faults, workloads and all the rest.

A class that derives from `Value` has its fields compared with their annotations when one is made, before its own
``__post_init__`` compares numbers: text is not less than a number, and Python says so in a TypeError that names
neither the field nor the value.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from inspect import get_annotations
from math import isfinite
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

__all__ = [
    "MOST_MEMBERS",
    "MOST_ROWS",
    "Bounds",
    "Count",
    "Drift",
    "Members",
    "NotNegative",
    "Positive",
    "Seconds",
    "Several",
    "Size",
    "Value",
    "Wait",
    "Whole",
    "check_types",
    "described",
    "field_path",
    "hints",
]

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Size:
    """For ``Annotated[int, Size(most, why)]``: at most so many, and why more cannot fit."""

    most: int
    why: str


MOST_MEMBERS = 100_000
MOST_ROWS = 100_000_000
"""So many rows of a frame, of some two hundred bytes each, may be in memory."""

Members = Annotated[int, Size(MOST_MEMBERS, "each takes some ten kilobytes of memory")]
"""A number of members or clients."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """For ``Annotated[float, Bounds("positive", above=0)]``: what a number must be, in words and in figures.

    ``least`` and ``most`` may be reached, ``above`` and ``below`` may not.
    """

    words: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether the value lies within."""
        return not (
            (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.most is not None and value > self.most)
            or (self.below is not None and value >= self.below)
        )


Count = Annotated[int, Bounds("an integer of at least 1", least=1)]
Several = Annotated[int, Bounds("an integer of at least 2", least=2)]
Whole = Annotated[int, Bounds("an integer of at least 0", least=0)]
Seconds = Annotated[float, Bounds("positive seconds", above=0)]
"""A time that must pass: a timeout, an interval."""
Wait = Annotated[float, Bounds("at least 0 s", least=0)]
"""A time that may be none: a delay, a cost."""
Positive = Annotated[float, Bounds("positive", above=0)]
NotNegative = Annotated[float, Bounds("at least 0", least=0)]
Drift = Annotated[float, Bounds("at least 0 and below 1", least=0, below=1)]
"""How far the rate of a clock may be from 1."""


def field_path(name: str) -> str:
    """A path to a field in its one spelling: ``system.nodes`` and ``system__nodes`` name the same field."""
    return name.replace(".", "__")


class Value:
    """Base of values whose fields are checked by `check_types` before their own ``__post_init__`` runs."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__post_init__")
        if own is not None and not hasattr(own, "__wrapped__"):
            setattr(cls, "__post_init__", _checked(own))  # noqa: B010 - mypy forbids the assignment

    def __post_init__(self) -> None:
        self._convert()
        check_types(self)

    def _convert(self) -> None:
        """Turn what may be written in more than one way into what the annotation says, before it is checked."""

    def made_of(self) -> dict[str, Any]:
        """The keywords from which the same value can be made: what its written form holds."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(cast(Any, self)) if f.init}

    def _keep(self, **fields: Any) -> None:
        """Set fields of a frozen value while it is made."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)


def _checked(own: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(own)
    def post_init(self: Any) -> None:
        self._convert()
        check_types(self)
        own(self)

    return post_init


class _Misfit(Exception):
    """What would have fitted; ``entry``: the value inside a sequence or mapping that does not, in a tuple."""

    def __init__(self, what: str, entry: tuple[Any, ...] = ()) -> None:
        super().__init__(what)
        self.entry = entry


def check_types(settings: Any) -> None:
    """Raise ValueError, with field and value, for a field of a dataclass that holds what its annotation does not say.

    Numbers must be finite, and integers fit in 64 bits; a truth value is no number; a text is no sequence. Numbers of
    NumPy become Python's, and sequences become tuples where the annotation says so. Annotations that name what exists
    only for a type checker are left to the owner.
    """
    cls: Any = type(settings)
    for name, hint in hints(cls):
        value = getattr(settings, name)
        try:
            kept = _fitted(value, hint)
        except _Misfit as fitting:
            which, wrong = (f"each entry of {name}", fitting.entry[0]) if fitting.entry else (name, value)
            raise ValueError(f"{cls.__name__}: {which} must be {fitting}, not {wrong!r}") from None
        if kept is not value:
            object.__setattr__(settings, name, kept)


@cache
def hints(cls: type) -> tuple[tuple[str, Any], ...]:
    """The annotation of each field that is set when one is made."""
    return tuple((f.name, _resolved(cls, f)) for f in dataclasses.fields(cls) if f.init)


def _resolved(cls: type, field: dataclasses.Field[Any]) -> Any:
    if not isinstance(field.type, str):
        return field.type
    owner = next((c for c in cls.__mro__ if field.name in get_annotations(c)), cls)
    try:
        return eval(field.type, dict(vars(sys.modules[owner.__module__])))
    except (NameError, AttributeError, KeyError, TypeError, SyntaxError):
        return Any


def _fitted(value: Any, hint: Any) -> Any:
    """The value as the annotation wants it. Raises `_Misfit`."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *limits = get_args(hint)
        return _limited(_fitted(value, inner), limits)
    if origin in (Union, UnionType):
        return _one_of(value, get_args(hint))
    if origin is Literal:
        if not any(
            value is option or (isinstance(value, str) and value == option) for option in get_args(hint)
        ):
            raise _Misfit(described(hint))
        return value
    if hint in (float, int):
        return _number(value, hint)
    if origin is not None:
        return _contained(value, hint, origin)
    if isinstance(hint, type):
        return _instance(value, hint)
    return value


def _limited(value: Any, limits: Iterable[Any]) -> Any:
    for limit in limits:
        if isinstance(limit, Size) and value > limit.most:
            raise _Misfit(f"at most {limit.most:,} ({limit.why})")
        if isinstance(limit, Bounds) and not limit.hold(value):
            raise _Misfit(limit.words)
    return value


def _one_of(value: Any, options: tuple[Any, ...]) -> Any:
    misfits: list[tuple[Any, _Misfit]] = []
    for option in options:
        try:
            return _fitted(value, option)
        except _Misfit as misfit:
            misfits.append((option, misfit))
    # A number out of range, or a wrong entry, says more than the list of what else there is.
    for option, found in misfits:
        if str(found) != described(option):
            raise found
    raise _Misfit(described(Union[options]))  # noqa: UP007


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        raise _Misfit(described(kind))
    if isinstance(value, Integral):
        plain = int(value)
        if abs(plain) > _LARGEST:
            raise _Misfit(f"{described(kind)} of at most 64 bits")
        return value if isinstance(value, int) else plain
    if not isfinite(value):
        raise _Misfit("a finite number")
    return float(value)  # a float64 of NumPy is a float, too, but writes itself otherwise


def _contained(value: Any, hint: Any, origin: Any) -> Any:
    parts = get_args(hint)
    if origin is tuple:
        return _tuple(value, hint, parts)
    if not isinstance(origin, type):
        return value
    if issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _Misfit(described(hint))
        for key, item in value.items():
            _entry(key, parts[0])
            _entry(item, parts[1])
        return value
    if origin is Callable or origin.__name__ == "Callable":
        if not callable(value):
            raise _Misfit(described(hint))
        return value
    if issubclass(origin, Sequence):
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise _Misfit(described(hint))
        for item in value:
            _entry(item, parts[0])
    return value


def _tuple(value: Any, hint: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping | set | frozenset | type):
        raise _Misfit(described(hint))
    items = tuple(value)
    if parts == (float, Ellipsis) and {*map(type, items)} == {float} and all(map(isfinite, items)):
        return items  # quickly: measured samples are many
    kinds = parts[:1] * len(items) if parts[-1] is Ellipsis else parts
    if len(kinds) != len(items):
        raise _Misfit(described(hint))
    fitted = tuple(_entry(item, kind) for item, kind in zip(items, kinds, strict=True))
    same = isinstance(value, tuple) and all(a is b for a, b in zip(fitted, items, strict=True))
    return items if same else fitted


def _entry(item: Any, hint: Any) -> Any:
    try:
        return _fitted(item, hint)
    except _Misfit as misfit:
        raise _Misfit(str(misfit), misfit.entry or (item,)) from None


def _instance(value: Any, kind: type) -> Any:
    if kind is object:
        return value
    try:
        fits = isinstance(value, kind) and not (isinstance(value, type) and not issubclass(kind, type))
    except TypeError:  # a protocol that cannot be asked
        return value
    if not fits:
        raise _Misfit(described(kind))
    return value


_WORDS = {
    float: "a number",
    int: "an integer",
    bool: "True or False",
    str: "a text",
    NoneType: "None",
    None: "None",
}


def described(hint: Any) -> str:
    """What an annotation asks for, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return described(parts[0])
    if origin in (Union, UnionType):
        plain = any(part in (float, int, str) or get_origin(part) is Literal for part in parts)
        # Beside a number, a text or a choice, None goes without saying.
        return " or ".join(described(part) for part in parts if not (plain and part is NoneType))
    if origin is Literal:
        two = f"{parts[0]!r} or {parts[-1]!r}"
        return two if len(parts) == 2 else f"one of {', '.join(map(str, parts))}"
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(origin, type):
        if issubclass(origin, Mapping):
            return "a mapping"
        return "a function" if origin.__name__ == "Callable" else "a tuple of values"
    if isinstance(hint, type):
        return f"{'an' if hint.__name__[0] in 'AEIO' else 'a'} {hint.__name__}"
    return str(hint)
