"""Checks the arguments of functions that users call against their annotations, as `sim.settings` checks fields.

Without it, ``run.plot.latency_cdf(tail="no")`` would draw the tail, and ``run.check(3)`` would raise an AttributeError
that names neither the argument nor the value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import isfinite
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

from sim.settings import check_type, fits_by_class, resolved

__all__ = ["checked", "checked_but", "checked_methods", "resolved_hints"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

_DUCKS = ("ArrayLike", "NDArray", "_Frames")  # annotations that stand for too many types to be checked here


def checked_but(*left: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`checked`, except for the arguments with these names, which the function checks itself with clearer messages."""

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        return _checked(function, left)

    return mark


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Raise ValueError, with argument and value, when an argument does not fit its annotation; see `check_types`.

    A frame without a column that the function needs is a ValueError, too.

    One-dimensional arrays are taken where a sequence is wanted. An annotation that only a type checker can resolve is
    not checked, and neither is an argument that equals its default.
    """
    return _checked(function)


def _checked(function: Callable[P, R], left: Sequence[str] = ()) -> Callable[P, R]:
    signature = inspect.signature(function)
    # Argument -> its annotation and its default; filled by the first call:
    to_check: dict[str, tuple[Any, Any]] = {}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        if not to_check:
            to_check.update(_to_check(function, signature, left))
        for name, value in given.arguments.items():
            hint, default = to_check[name]
            if hint is Any or value is default or fits_by_class(hint, value.__class__):
                continue
            if not _endless(value, hint):
                given.arguments[name] = check_type(function.__name__, name, _listed(value, hint), hint)
        try:
            return function(*given.args, **given.kwargs)
        except KeyError as missing:
            _require_columns(function.__name__, given.arguments, missing)
            raise

    return call


def _to_check(
    function: Callable[..., Any], signature: inspect.Signature, left: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    hints = resolved_hints(function)
    return {
        name: (Any if name in left else hints.get(name, Any), parameter.default)
        for name, parameter in signature.parameters.items()
    }


def checked_methods(cls: C) -> C:
    """A class all of whose public methods are `checked`."""
    for name, member in list(vars(cls).items()):
        function = member.__func__ if isinstance(member, classmethod) else member
        if name.startswith("_") or not inspect.isfunction(function) or hasattr(function, "__wrapped__"):
            continue  # private, no function, or marked by itself
        if len(inspect.signature(function).parameters) > 1:
            setattr(cls, name, checked(function) if function is member else classmethod(checked(function)))
    return cls


def resolved_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter -> annotation; Any where it cannot be resolved. ``*args`` and ``**kwargs`` are left out."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        written = parameter.annotation
        plain = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if not plain or written is parameter.empty or any(duck in str(written) for duck in _DUCKS):
            continue
        found[name] = resolved(written, function.__module__)
    return found


def _require_columns(function: str, arguments: Mapping[str, Any], missing: KeyError) -> None:
    """Raise ValueError if a frame among the arguments has no column of the name that was looked for."""
    name = missing.args[0] if missing.args else None
    for argument, frame in arguments.items():
        columns = getattr(frame, "columns", None)
        if isinstance(name, str) and columns is not None and name not in columns:
            raise ValueError(
                f"{function}: {argument} has no column {name!r}; its columns are {', '.join(map(str, columns))}"
            ) from missing


def _endless(value: Any, hint: Any) -> bool:
    """Whether a number is wanted and this is infinity or NaN: the function itself decides what that means."""
    return isinstance(value, float) and not isfinite(value) and float in (hint, *get_args(hint))


def _listed(value: Any, hint: Any) -> Any:
    """A one-dimensional array (NumPy, pandas) as a list, where the annotation is or allows a sequence."""
    options = getattr(hint, "__args__", ()) if get_origin(hint) not in (Sequence, tuple) else (hint,)
    is_array = hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1
    wanted = is_array and any(get_origin(option) in (Sequence, tuple) for option in options)
    return value.tolist() if wanted else value
