"""Values that are not dataclasses, because copies of them change: written as the arguments of their constructor."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, Self, get_type_hints

from sim.settings import check_type

__all__ = ["Made", "arguments_of", "class_of"]


class Made:
    """Remembers the arguments of its constructor: they are its written form, and are shown by ``repr``.

    The arguments are compared with their annotations before ``__init__`` runs. Two are equal if they are of one class
    and hold the same.
    """

    _arguments: tuple[tuple[str, Any], ...]

    def __new__(cls, *arguments: Any, **given: Any) -> Self:
        """Remember the arguments, defaults included. Raises ValueError for one that its annotation does not allow."""
        made = super().__new__(cls)
        made._arguments = ()
        known = arguments_of(cls)
        try:
            bound = inspect.signature(_constructor(cls)).bind(made, *arguments, **given)
        except TypeError:
            return made  # copy and pickle give none; else __init__ refuses them
        for name, value in bound.arguments.items():
            if name in known:
                check_type(cls.__name__, name, value, known[name][0])
        bound.apply_defaults()
        made._arguments = tuple((name, bound.arguments[name]) for name in known)
        return made

    def made_of(self) -> dict[str, Any]:
        """The keywords from which the same value can be made. Raises ValueError where they do not make it."""
        keywords = dict(self._arguments)
        if type(self)(**keywords) != self:
            raise ValueError(f"{self!r} is not what its arguments make, so that it has no written form")
        return keywords

    def __repr__(self) -> str:
        known = arguments_of(type(self))
        told = [f"{name}={value!r}" for name, value in self._arguments if value != known[name][1]]
        return f"{type(self).__name__}({', '.join(told)})"

    def __eq__(self, other: object) -> bool:
        return class_of(other) is class_of(self) and _state(other) == _state(self)

    # It may change: with a hash of its own, `sim.values` would take it for immutable.
    __hash__ = object.__hash__


def class_of(value: Any) -> type:
    """The class of a value, as its author knows it: a run that watches it has given it a subclass (``_watches``)."""
    kind: type = getattr(type(value), "_watches", type(value))
    return kind


def _state(value: Any) -> dict[str, Any]:
    return {name: held for name, held in vars(value).items() if name != "_arguments"}


def _constructor(cls: type) -> Any:
    def nothing(self: Any) -> None: ...

    init = cls.__init__  # type: ignore[misc]
    return nothing if init is object.__init__ else init


def arguments_of(cls: Any) -> dict[str, tuple[Any, Any]]:
    """The annotation (Any: none) and the default (`inspect.Parameter.empty`: none) of each argument that has a name."""
    return _arguments_of(cls)


@cache
def _arguments_of(cls: Any) -> dict[str, tuple[Any, Any]]:
    init = _constructor(cls)
    parameters = list(inspect.signature(init).parameters.values())[1:]
    try:
        hints = get_type_hints(init, include_extras=True)
    except (NameError, TypeError, AttributeError):
        hints = {}
    return {
        p.name: (hints.get(p.name, Any), p.default)
        for p in parameters
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
