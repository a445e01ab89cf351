"""Finds the message classes that the handlers of a class take, by their annotations, when the class is defined.

``on_prepare(self, src, msg: Prepare)`` takes `Prepare`, and ``msg: Prepare | Accept`` takes both. The annotation may
be a string (``from __future__ import annotations``). It is looked up where Python would look it up: in the class, then
among the message classes of the enclosing functions and classes, then in the module. A handler without an annotation
takes the message class with the same name as the handler. If it overrides another handler, it takes the same messages
as that one. A handler that would never be called is a TypeError, which says what to write instead.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from sim.message import is_message, registered, snake

__all__ = ["check_parts", "find_handlers", "own_handlers"]

LIFECYCLE = ("on_start",)
_CALLBACKS = ("_timeout", "_done")  # on_<name>_timeout(key), on_<name>_done(key)
_UNSAID = (inspect.Parameter.empty, Any, object, "Any", "typing.Any", "object")

Kinds = tuple[type, ...]


def find_handlers(cls: type) -> dict[type, str]:
    """Message class -> handler name, for all handlers of a class, its own and inherited ones.

    Raises TypeError for a handler that would never be called, and for two that take the same message.
    """
    names: dict[str, Kinds] = {}
    for base in reversed(cls.__mro__):
        for name in base.__dict__:
            if name in names and base.__dict__[name] is None:
                del names[name]  # ``on_ping = None``: not handled any more
        names.update(own_handlers(cls, base, names))
    table: dict[type, str] = {}
    for name, kinds in names.items():
        for kind in kinds:
            if kind in table:
                raise TypeError(
                    f"{cls.__name__}: both {table[kind]} and {name} take {kind.__name__}; keep one"
                )
            table[kind] = name
    return table


def own_handlers(cls: type, base: type, known: dict[str, Kinds]) -> dict[str, Kinds]:
    """Handler name -> message classes, for the handlers that ``base``, a base of ``cls`` or itself, defines.

    ``known``: the handlers of earlier bases, which these may override.
    """
    found: dict[str, Kinds] | None = base.__dict__.get("_own_handlers")
    if found is None:
        found = {}
        for name, method in base.__dict__.items():
            if name.startswith("on_") and callable(method) and name not in LIFECYCLE:
                kinds = _kinds_of(base, name, method, known.get(name))
                if kinds:
                    found[name] = kinds
        if base is cls:
            cls._own_handlers = found  # type: ignore[attr-defined]
    return found


def check_parts(cls: type, parts: dict[str, Any]) -> None:
    """Raise TypeError where a node and a part of it, or two parts, take the same message."""
    takers = dict(cls._handlers)  # type: ignore[attr-defined]
    for field, declared in parts.items():
        for kind, name in getattr(declared.cls, "_handlers", {}).items():
            if kind in takers:
                raise TypeError(
                    f"{cls.__name__}: both {takers[kind]} and {field}.{name} take {kind.__name__}; keep one, and let "
                    "it call the other"
                )
            takers[kind] = f"{field}.{name}"


def _kinds_of(cls: type, name: str, method: Any, overridden: Kinds | None) -> Kinds:
    """The message classes that a method takes; none for callbacks of timers and work."""
    where = f"{cls.__name__}.{name}"
    function = inspect.unwrap(getattr(method, "__func__", method))
    if name.endswith(_CALLBACKS) and overridden is None and not _takes(function, 3):
        if not (_takes(function, 1) or _takes(function, 2)):
            raise TypeError(f"{where}: write {name}(self), or {name}(self, key) for keyed ones")
        return ()
    if not _takes(function, 3):
        raise TypeError(_wrong_arity(where, name, cls, function, overridden))
    annotation = _annotation(function)
    if (isinstance(annotation, str) and annotation in _UNSAID) or any(annotation is u for u in _UNSAID):
        return overridden or (_by_name(cls, name, function),)
    kinds = tuple(dict.fromkeys(_resolve(cls, where, function, annotation, overridden)))
    _check_name(cls, name, function, kinds)
    return kinds


def _takes(function: Any, count: int) -> bool:
    """Whether a function can be called with ``count`` positional arguments, ``self`` included."""
    code = getattr(function, "__code__", None)
    if code is None:
        return True
    needed = code.co_argcount - len(function.__defaults__ or ())
    needs_names = code.co_kwonlyargcount > len(function.__kwdefaults__ or ())
    many = bool(code.co_flags & inspect.CO_VARARGS)
    return needed <= count and (many or count <= code.co_argcount) and not needs_names


def _annotation(function: Any) -> Any:
    code = getattr(function, "__code__", None)
    if code is None or code.co_argcount < 3:
        return inspect.Parameter.empty
    return function.__annotations__.get(code.co_varnames[2], inspect.Parameter.empty)


def _wrong_arity(where: str, name: str, cls: type, function: Any, overridden: Kinds | None) -> str:
    if overridden is None and _named(cls, name, function) == []:
        return f"{where}: no handler has such a name.{_meant(cls, name)} {_RULE}"
    return f"{where}: a handler of a message is written {name}(self, src, msg), with the sender's name first"


_RULE = (
    "Handlers are on_start(self), on_<timer>_timeout(self), on_<work>_done(self), and for messages "
    "on_<message>(self, src, msg: <Message>)"
)


def _meant(cls: type, name: str) -> str:
    """A suggestion for a misspelt handler name, as a sentence; "" if no name is close."""
    for suffix in _CALLBACKS:
        start, _, last = name.rpartition("_")
        if difflib.SequenceMatcher(None, f"_{last}", suffix).ratio() > 0.75 and start != "on":
            return f" Is {start}{suffix} meant?"
    module = sys.modules.get(cls.__module__)
    messages = (
        [snake(k.__name__) for k in vars(module).values() if isinstance(k, type) and is_message(k)]
        if module
        else []
    )
    close = difflib.get_close_matches(name, [*LIFECYCLE, *(f"on_{m}" for m in messages)], 1)
    return f" Is {close[0]} meant?" if close else ""


# By name


def _scopes(cls: type, function: Any) -> Iterator[dict[str, Any]]:
    """The names that a method can see, innermost scope first: class, enclosing functions and classes, module."""
    yield {**{base.__name__: base for base in reversed(cls.__mro__)}, **cls.__dict__}
    yield _closure(function)
    outer = cls.__qualname__
    while "." in outer:
        outer = outer.rpartition(".")[0]
        yield registered(cls.__module__, outer)
    yield getattr(function, "__globals__", {})


def _closure(function: Any) -> dict[str, Any]:
    cells = zip(
        getattr(getattr(function, "__code__", None), "co_freevars", ()),
        getattr(function, "__closure__", None) or (),
        strict=True,
    )
    return {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _named(cls: type, name: str, function: Any) -> list[type]:
    """The message classes with the handler's name, from the innermost scope that has such a class."""
    wanted = name.removeprefix("on_")
    for scope in _scopes(cls, function):
        found = {
            id(kind): kind  # by id: each class once, in the order of the scope
            for kind in scope.values()
            if isinstance(kind, type) and is_message(kind) and snake(kind.__name__) == wanted
        }
        if found:
            return list(found.values())
    return []


def _by_name(cls: type, name: str, function: Any) -> type:
    found = _named(cls, name, function)
    if len(found) == 1:
        return found[0]
    where = f"{cls.__name__}.{name}"
    if found:
        which = " and ".join(f"{k.__module__}.{k.__qualname__}" for k in found)
        raise TypeError(
            f"{where} may take {which}: say which, as in {name}(self, src, msg: {found[0].__name__})"
        )
    wanted = "".join(word.capitalize() for word in name.removeprefix("on_").split("_"))
    raise TypeError(
        f"{where} handles no message: no message class of that name is in sight.{_meant(cls, name)} Write "
        f"{name}(self, src, msg: {wanted}), and define or import {wanted}, a class made by @message"
    )


def _check_name(cls: type, name: str, function: Any, kinds: Kinds) -> None:
    """Raise TypeError if the name of a handler and its annotation name different messages."""
    if any(f"on_{snake(kind.__name__)}" == name for kind in kinds):
        return
    where = f"{cls.__name__}.{name}"
    if len(kinds) == 1:
        kind = kinds[0].__name__
        others = _named(cls, name, function)
        instead = f", or annotate it with {others[0].__name__}" if others else ""
        raise TypeError(f"{where} is annotated to take {kind}: name it on_{snake(kind)}{instead}")
    for other in _named(cls, name, function):
        raise TypeError(f"{where} does not take {other.__name__}, as its name says: add it to the annotation")


# By annotation


def _resolve(
    cls: type, where: str, function: Any, annotation: Any, overridden: Kinds | None
) -> Iterator[type]:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = _evaluated(cls, where, function, annotation, overridden)
        if isinstance(annotation, str):  # a string within a string
            annotation = _evaluated(cls, where, function, annotation, overridden)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _resolve(cls, where, function, part, overridden)
    elif isinstance(annotation, tuple):  # found by the class that it overrides
        yield from annotation
    elif isinstance(annotation, type) and is_message(annotation):
        yield annotation
    else:
        name = getattr(annotation, "__name__", repr(annotation))
        raise TypeError(
            f"{where} is annotated to take {name}, which is no message class: decorate its definition with @message, "
            "or name the message that the handler takes"
        )


def _evaluated(cls: type, where: str, function: Any, text: str, overridden: Kinds | None) -> Any:
    names: dict[str, Any] = {}
    if text.isidentifier():
        for scope in _scopes(cls, function):
            if text in scope:
                return scope[text]
    for scope in reversed(list(_scopes(cls, function))[:-1]):
        names.update(scope)
    try:
        return eval(text, dict(getattr(function, "__globals__", {})), names)
    except Exception as error:
        if overridden is not None and {t.strip(" '\"") for t in text.split("|")} == {
            k.__name__ for k in overridden
        }:
            return overridden  # imported for type checkers only; the overridden method has the classes
        raise TypeError(
            f"{where}: the annotation {text!r} of its message cannot be resolved ({error}): define the class, or "
            f"import it at the top of {cls.__module__}, and not only under TYPE_CHECKING"
        ) from None
