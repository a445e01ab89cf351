"""Checks the fields of systems, faults, workloads and other frozen values against their annotations: one rule for all.

When an object of a class that derives from `Value` is made, its fields are checked first, and then its own
``__post_init__`` runs. Without this check, a comparison of a string with a number in ``__post_init__`` would raise a
TypeError that names neither the field nor the value.
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
    "Rate",
    "Seconds",
    "Several",
    "Share",
    "Size",
    "Value",
    "Wait",
    "Whole",
    "check_type",
    "check_types",
    "described",
    "field_path",
    "fits_by_class",
    "hints",
    "resolved",
]

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Size:
    """For ``Annotated[int, Size(most, why)]``: the largest number allowed, and why more do not fit."""

    most: int
    why: str


MOST_MEMBERS = 100_000
MOST_ROWS = 100_000_000
"""The largest number of rows of a frame that may be in memory; a row takes about two hundred bytes."""

Members = Annotated[int, Size(MOST_MEMBERS, "each takes some ten kilobytes of memory")]
"""A number of members or clients."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """For ``Annotated[float, Bounds("positive", above=0)]``: the range of a number, in words and in figures.

    ``least`` and ``most`` are inclusive bounds, ``above`` and ``below`` exclusive bounds.
    """

    words: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether the value is within the bounds."""
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
"""A duration that must not be zero: a timeout, an interval."""
Wait = Annotated[float, Bounds("at least 0 s", least=0)]
"""A duration that may be zero: a delay, a cost."""
Positive = Annotated[float, Bounds("positive", above=0)]
NotNegative = Annotated[float, Bounds("at least 0", least=0)]
Share = Annotated[float, Bounds("in [0, 1]", least=0, most=1)]
"""A fraction, or a probability."""
Rate = Annotated[float, Bounds("above -1", above=-1)]
"""How far the rate of a clock is from 1: at -1 the clock would stand still."""
Drift = Annotated[float, Bounds("at least 0 and below 1", least=0, below=1)]
"""How far the rate of a clock may be from 1."""


def field_path(name: str) -> str:
    """The path to a field, in its standard spelling: ``system.nodes`` becomes ``system__nodes``."""
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
        """Convert fields that may be written in several ways to the annotated type, before they are checked."""

    def made_of(self) -> dict[str, Any]:
        """The keyword arguments that make an equal value; its written form holds them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(cast(Any, self)) if f.init}

    def _keep(self, **fields: Any) -> None:
        """Set fields of a frozen value during its construction."""
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
    """The message says which values would fit. ``entry``: a tuple with the wrong value inside a sequence or mapping."""

    def __init__(self, what: str, entry: tuple[Any, ...] = ()) -> None:
        super().__init__(what)
        self.entry = entry


def check_types(settings: Any) -> None:
    """Raise ValueError, with field and value, for a field of a dataclass whose value does not fit its annotation.

    Numbers must be finite, and integers must fit in 64 bits. A bool is not a number, and a string is not a sequence.
    NumPy numbers become Python numbers, and sequences become tuples where the annotation says so. Annotations that
    can be resolved only by a type checker are not checked.
    """
    cls: Any = type(settings)
    for name, hint in hints(cls):
        value = getattr(settings, name)
        if fits_by_class(hint, value.__class__):
            continue
        kept = check_type(cls.__name__, name, value, hint)
        if kept is not value:
            object.__setattr__(settings, name, kept)


def check_type(owner: str, name: str, value: Any, hint: Any) -> Any:
    """A value as its annotation wants it. Raises ValueError where it does not fit."""
    try:
        return _fitted(value, hint)
    except _Misfit as fitting:
        which, wrong = (f"each entry of {name}", fitting.entry[0]) if fitting.entry else (name, value)
        raise ValueError(f"{owner}: {which} must be {fitting}, not {wrong!r}") from None


@cache
def hints(cls: type) -> tuple[tuple[str, Any], ...]:
    """The (name, resolved annotation) pairs of the fields that the constructor takes."""
    return tuple((f.name, _resolved(cls, f)) for f in dataclasses.fields(cls) if f.init)


@cache
def fits_by_class(hint: Any, kind: type) -> bool:
    """Whether all instances of ``kind`` fit the annotation as they are: looked up, where `_fitted` works it out."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits_by_class(option, kind) for option in get_args(hint))
    if hint is None or hint is Any:
        return hint is Any or kind is NoneType
    decides = type(hint) is type and hint not in (
        float,
        int,
    )  # no metaclass, no protocol has its own idea of instances
    return decides and issubclass(kind, hint) and not issubclass(kind, type)


def _resolved(cls: type, field: dataclasses.Field[Any]) -> Any:
    owner = next((c for c in cls.__mro__ if field.name in get_annotations(c)), cls)
    return resolved(field.type, owner.__module__)


def resolved(annotation: Any, module: str) -> Any:
    """The annotation, evaluated in its module if it is a string; Any if only a type checker can resolve it."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(vars(sys.modules[module])))
    except (NameError, AttributeError, KeyError, TypeError, SyntaxError):
        return Any


def _fitted(value: Any, hint: Any) -> Any:
    """The value, converted to fit the annotation. Raises `_Misfit` if it cannot fit."""
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
    # An error about a range, or about a wrong entry, tells the user more than the list of all possible types.
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
    return float(value)  # a NumPy float64 is a float, too, but its repr differs


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
    elif issubclass(origin, Iterable) and (not isinstance(value, Iterable) or isinstance(value, str | bytes)):
        raise _Misfit(described(hint))
    return value


def _tuple(value: Any, hint: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping | set | frozenset | type):
        raise _Misfit(described(hint))
    items = tuple(value)
    if parts == (float, Ellipsis) and {*map(type, items)} == {float} and all(map(isfinite, items)):
        return items  # a fast path, for measured samples with many values
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
    except TypeError:  # a typing.Protocol that does not support isinstance
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
    """The values that an annotation allows, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return described(parts[0])
    if origin in (Union, UnionType):
        bare = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
        plain = any(part in (float, int, str) or get_origin(part) is Literal for part in bare)
        # None is not mentioned beside a number, a string or a choice.
        return " or ".join(described(part) for part in parts if not (plain and part is NoneType))
    if origin is Literal:
        few = " or ".join(map(repr, parts))
        return few if len(parts) <= 2 else f"one of {', '.join(map(str, parts))}"
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(origin, type):
        if issubclass(origin, Mapping):
            return "a mapping"
        return "a function" if origin.__name__ == "Callable" else "a tuple of values"
    if isinstance(hint, type):
        return f"{'an' if hint.__name__[0] in 'AEIO' else 'a'} {hint.__name__}"
    return str(hint)
