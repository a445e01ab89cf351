"""Values on the command line: literals, systems and other values of the library, and lists of them.

One grammar for all options: ``3``, ``'a, b'``, ``(1, 2)``, ``Raft``, ``Raft(nodes=3)``, ``[Crash('leader', at=3)]``,
``package.module:Name(nodes=3)``, ``Raft.like('etcd')``. Any other text is a string. A list of values is split at the
commas outside brackets and quotes.
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from sim.written.names import ROOMS, did_you_mean, exported, import_path

if TYPE_CHECKING:
    from sim.faults import Fault
    from sim.prices import Prices
    from sim.system import System
    from sim.workload import Workload

__all__ = ["parse_fault", "parse_load", "parse_prices", "parse_system", "parse_value", "split_list"]

_PLACED = re.compile(r"\s*([A-Za-z_][\w.]*:[A-Za-z_]\w*)\s*(\(.*\))?\s*", re.DOTALL)
_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*(\(.*\))?\s*", re.DOTALL)
_LIKE = re.compile(r"\s*(\w+)\.like\s*\(.*\)\s*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def split_list(text: str) -> list[str]:
    """``"Raft(nodes=3,pre_vote=True),'a,b'"`` -> its two values, as strings.

    Raises UsageError for brackets or quotes that are not closed, and for a missing value.
    """
    values, begun, opened, quote, escaped = [], 0, [], "", False
    for i, sign in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "([{":
            opened.append(sign)
        elif sign in _CLOSING:
            if not opened or opened.pop() != _CLOSING[sign]:
                raise click.UsageError(f"{text!r}: {sign!r} closes nothing")
        elif sign == "," and not opened:
            values.append(text[begun:i].strip())
            begun = i + 1
    if opened or quote:
        raise click.UsageError(f"{text!r}: {quote or opened[-1]!r} is not closed")
    values.append(text[begun:].strip())
    if "" in values:
        raise click.UsageError(f"{text!r}: a value is missing beside a comma")
    return values


def parse_value(field: str, text: str) -> Any:
    """The value written for a field of a scenario (``system``, ``workload.rate``)."""
    rooms = ROOMS.get(field.partition(".")[0], ())
    if _PLACED.fullmatch(text):
        return _parsed(text, _LOAD if field == "workload" else _SYSTEM)
    if _WORD.fullmatch(text):
        return _word(field, text, rooms)
    try:
        return _evaluated(ast.parse(text.strip(), mode="eval").body, rooms)
    except SyntaxError:
        if "(" in text or "[" in text or field == "system":
            raise click.UsageError(f"{text!r} is no {'system' if field == 'system' else 'value'}") from None
        return text
    except _NoLiteral as error:
        if error.call:
            raise click.UsageError(f"{text!r}: {error}") from None
        return text


def _word(field: str, text: str, rooms: tuple[str, ...]) -> Any:
    if text in ("True", "False", "None"):
        return ast.literal_eval(text)
    if field == "system":
        return parse_system(text)
    found = _found(text, rooms)
    return text if found is None else _made(found, text, [], {})


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an option takes: objects of one class of the library, or of a class derived from it.

    ``base``: the import path of that class. ``room``: the field of the scenario whose modules export such classes.
    ``example``: how one is written. ``positional``: whether arguments may stand without their names. ``abstract``:
    whether that class itself is none that can be made.
    """

    word: str
    base: str
    room: str
    example: str
    positional: bool = True
    abstract: bool = True

    def known(self) -> list[str]:
        """The names of the library's classes of this kind."""
        rooms = [importlib.import_module(room) for room in ROOMS[self.room]]
        return [name for room in rooms for name in room.__all__ if self.made_by(getattr(room, name))]

    def made_by(self, found: Any) -> bool:
        """Whether calling an object makes a value of this kind. It is not called."""
        base = import_path(self.base)
        return isinstance(found, type) and issubclass(found, base) and not (self.abstract and found is base)


_SYSTEM = _Kind("system", "sim.system:System", "system", "'Raft(nodes=3)'", positional=False)
_FAULT = _Kind("fault", "sim.faults:Fault", "faults", "'Crash(\"leader\", at=5, down=2)'")
_PRICES = _Kind(
    "prices",
    "sim.prices:Prices",
    "measures",
    "'Prices(machine=0.1, between=0.02)'",
    positional=False,
    abstract=False,
)
_LOAD = _Kind("workload", "sim.workload:Workload", "workload", "'ClosedLoop(clients=10)'")


def parse_system(text: str) -> System:
    """``Raft``, ``Raft(nodes=3)``, ``Raft.like("etcd")`` or ``package.module:Name(nodes=3)`` -> a system."""
    like = _LIKE.fullmatch(text)
    system: System = _parsed(text, _SYSTEM) if like is None else _like(text, like.group(1))
    return system


def _like(text: str, name: str) -> Any:
    """``Raft.like("etcd")`` -> the system of the class ``name`` with the settings of that product."""
    if not _SYSTEM.made_by(_found(name, ROOMS["system"])):
        raise click.UsageError(f"there is no system {name!r}{_instead(name, _SYSTEM)}")
    try:
        return _evaluated(ast.parse(text.strip(), mode="eval").body, ROOMS["system"])
    except SyntaxError:
        raise click.UsageError(f"{text!r} is no system: write 'Raft.like(\"etcd\", nodes=5)'") from None
    except _NoLiteral as error:
        raise click.UsageError(f"{text!r}: {error}") from None


def parse_fault(text: str) -> Fault:
    """``Crash("leader", at=5)`` or ``package.module:Name(at=5)`` -> a fault."""
    fault: Fault = _parsed(text, _FAULT)
    return fault


def parse_load(text: str) -> Workload:
    """``ClosedLoop(clients=10)`` or ``package.module:Name(...)`` -> a workload."""
    load: Workload = _parsed(text, _LOAD)
    return load


def parse_prices(text: str) -> Prices:
    """``Prices(machine=0.1, between=0.02)`` -> prices of machines and traffic."""
    prices: Prices = _parsed(text, _PRICES)
    return prices


def _parsed(text: str, kind: _Kind) -> Any:
    placed = _PLACED.fullmatch(text)
    named = _NAMED.fullmatch(text) if placed is None else placed
    wrong = f"{text!r} is no {kind.word}: write {kind.example} or package.module:Name"
    if named is None:
        raise click.UsageError(wrong)
    name, arguments = named.group(1), named.group(2)
    found = _imported(name) if placed else _found(name, ROOMS[kind.room])
    if found is None:
        raise click.UsageError(f"there is no {kind.word} {name!r}{'' if placed else _instead(name, kind)}")
    made = found if isinstance(found, import_path(kind.base)) else None
    if made is not None and arguments is None:
        return made
    # Checked before the object is called: `builtins:exit` is callable, too.
    if made is None and not kind.made_by(found):
        raise click.UsageError(f"{name} is no {kind.word} (a class derived from {_public(kind.base)})")
    try:
        call = ast.parse(f"f{arguments or '()'}", mode="eval").body
        if not isinstance(call, ast.Call):
            raise click.UsageError(wrong)
        if call.args and not (kind.positional and made is None):
            raise click.UsageError(f"{text!r}: only keyword arguments; write Name(field=value)")
        given = [_evaluated(argument, ROOMS[kind.room]) for argument in call.args]
        keywords = _keywords(call, ROOMS[kind.room])
    except SyntaxError:
        raise click.UsageError(wrong) from None
    except _NoLiteral as error:
        raise click.UsageError(f"{text!r}: {error}") from None
    if made is None:
        return _made(found, text, given, keywords)
    change = made.changed if isinstance(made, import_path(_SYSTEM.base)) else partial(replace, made)
    return _made(change, text, [], keywords)


def _instead(name: str, kind: _Kind) -> str:
    """What there is instead of an unknown name: the nearest, and all, or where they are listed."""
    known = kind.known()
    there = "`sim list` shows those that there are" if kind is _SYSTEM else f"there are {', '.join(known)}"
    return f"{did_you_mean(name, known)}; {there}"


def _public(path: str) -> str:
    return "sim.System" if path == _SYSTEM.base else path.replace(":", ".")


def _imported(name: str) -> Any:
    try:
        return import_path(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _found(name: str, rooms: tuple[str, ...]) -> Any:
    """The callable object that one of the modules ``rooms`` exports under a name; None if there is none."""
    return next(exported(name, rooms), None)


def _made(found: Any, text: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    try:
        return found(*arguments, **keywords)
    except TypeError as error:
        raise click.UsageError(f"{text!r}: {str(error).replace('.__init__()', '')}") from error


class _NoLiteral(Exception):
    """An expression that is neither a literal nor a call of a known name; ``call``: it is, or is inside, a call."""

    def __init__(self, part: ast.expr, call: bool = False, hint: str = "") -> None:
        super().__init__(f"{ast.unparse(part)} is no literal value{hint}")
        self.call = call


def _evaluated(part: ast.expr, rooms: tuple[str, ...]) -> Any:
    if isinstance(part, ast.Call):
        return _called(part, rooms)
    if isinstance(part, ast.List | ast.Tuple):
        items = [_evaluated(item, rooms) for item in part.elts]
        return items if isinstance(part, ast.List) else tuple(items)
    if isinstance(part, ast.Dict) and all(key is not None for key in part.keys):
        keys = [_evaluated(key, rooms) for key in part.keys if key is not None]
        return _dictionary(part, keys, [_evaluated(item, rooms) for item in part.values])
    try:
        return ast.literal_eval(part)
    except (ValueError, TypeError):
        raise _NoLiteral(part, hint=_hint(part, rooms)) from None


def _hint(part: ast.expr, rooms: tuple[str, ...]) -> str:
    """What was meant by a name: a class without its brackets, or a text whose quotes the shell has taken."""
    if not isinstance(part, ast.Name):
        return ""
    called = _found(part.id, rooms) is not None
    return f": write {part.id}()" if called else f": write it in quotes, '{part.id}'"


def _callee(function: ast.expr, rooms: tuple[str, ...]) -> Any:
    """The class, or the method `like` of a class of systems, that an expression calls; None: it calls neither."""
    if isinstance(function, ast.Name):
        return _found(function.id, rooms)
    if (
        isinstance(function, ast.Attribute)
        and function.attr == "like"
        and isinstance(function.value, ast.Name)
    ):
        found = _found(function.value.id, rooms)
        return found.like if found is not None and _SYSTEM.made_by(found) else None
    return None


def _called(call: ast.Call, rooms: tuple[str, ...]) -> Any:
    found = _callee(call.func, rooms)
    if found is None or any(keyword.arg is None for keyword in call.keywords):
        raise _NoLiteral(call, call=True)
    try:
        arguments = [_evaluated(argument, rooms) for argument in call.args]
        keywords = _keywords(call, rooms)
    except _NoLiteral as error:
        error.call = True
        raise
    return _made(found, ast.unparse(call), arguments, keywords)


def _keywords(call: ast.Call, rooms: tuple[str, ...]) -> dict[str, Any]:
    """The keyword arguments of a call. Python's parser lets a name be given twice; this does not."""
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise _NoLiteral(keyword.value, call=True)
        if keyword.arg in found:
            raise click.UsageError(f"{ast.unparse(call).removeprefix('f')!r}: {keyword.arg} is given twice")
        found[keyword.arg] = _evaluated(keyword.value, rooms)
    return found


def _dictionary(part: ast.Dict, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in zip(keys, values, strict=True):
        try:
            twice = key in found
        except TypeError:  # a list cannot be a key
            raise _NoLiteral(part) from None
        if twice:
            raise click.UsageError(f"{ast.unparse(part)!r}: {key!r} is given twice")
        found[key] = value
    return found
