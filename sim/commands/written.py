"""Values on the command line: literals, systems and other values of the library, and lists of them.

One grammar for all options: ``3``, ``'a, b'``, ``(1, 2)``, ``Raft``, ``Raft(nodes=3)``, ``[Crash('leader', at=3)]``,
``package.module:Name(nodes=3)``. Any other text is a string. A list of values is split at the commas outside brackets
and quotes.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import click

from sim.written.names import ROOMS, did_you_mean, exported, import_path

if TYPE_CHECKING:
    from sim.system import System

__all__ = ["parse_system", "parse_value", "split_list"]

_PLACED = re.compile(r"\s*([A-Za-z_][\w.]*:[A-Za-z_]\w*)\s*(\(.*\))?\s*", re.DOTALL)
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
        return parse_system(text)
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


def parse_system(text: str) -> System:
    """``Raft``, ``Raft(nodes=3)`` or ``package.module:Name(nodes=3)`` -> a system."""
    from sim.system import System

    placed = _PLACED.fullmatch(text)
    named = re.fullmatch(r"\s*(\w+)\s*(\(.*\))?\s*", text, re.DOTALL) if placed is None else placed
    if named is None:
        raise click.UsageError(f"{text!r} is no system: write Raft, 'Raft(nodes=3)' or package.module:Name")
    name, arguments = named.group(1), named.group(2)
    found = _imported(name) if placed else _found(name, ROOMS["system"])
    if found is None:
        import sim.protocols

        hint = "" if placed else did_you_mean(name, sim.protocols.__all__)
        raise click.UsageError(f"there is no system {name!r}{hint}; `sim list` shows those that there are")
    made = found if isinstance(found, System) else None
    if made is not None and arguments is None:
        return made
    # Checked before the object is called: `builtins:exit` is callable, too.
    if made is None and not (isinstance(found, type) and issubclass(found, System) and found is not System):
        raise click.UsageError(f"{name} is no system (a class derived from sim.System)")
    try:
        call = ast.parse(f"f{arguments or '()'}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise click.UsageError(f"{text!r}: only keyword arguments; write Name(field=value)")
        keywords = {str(k.arg): _evaluated(k.value, ROOMS["system"]) for k in call.keywords}
    except SyntaxError:
        raise click.UsageError(
            f"{text!r} is no system: write Raft, 'Raft(nodes=3)' or package.module:Name"
        ) from None
    except _NoLiteral as error:
        raise click.UsageError(f"{text!r}: {error}") from None
    system: System = _made(found if made is None else made.changed, text, [], keywords)
    return system


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

    def __init__(self, part: ast.expr, call: bool = False) -> None:
        super().__init__(f"{ast.unparse(part)} is no literal value")
        self.call = call


def _evaluated(part: ast.expr, rooms: tuple[str, ...]) -> Any:
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
        return _called(part, part.func.id, rooms)
    if isinstance(part, ast.List | ast.Tuple):
        items = [_evaluated(item, rooms) for item in part.elts]
        return items if isinstance(part, ast.List) else tuple(items)
    if isinstance(part, ast.Dict) and all(key is not None for key in part.keys):
        keys = [_evaluated(key, rooms) for key in part.keys if key is not None]
        return dict(zip(keys, (_evaluated(item, rooms) for item in part.values), strict=True))
    try:
        return ast.literal_eval(part)
    except (ValueError, TypeError):
        raise _NoLiteral(part) from None


def _called(call: ast.Call, name: str, rooms: tuple[str, ...]) -> Any:
    found = _found(name, rooms)
    if found is None or any(keyword.arg is None for keyword in call.keywords):
        raise _NoLiteral(call, call=True)
    try:
        arguments = [_evaluated(argument, rooms) for argument in call.args]
        keywords = {str(keyword.arg): _evaluated(keyword.value, rooms) for keyword in call.keywords}
    except _NoLiteral as error:
        error.call = True
        raise
    return _made(found, ast.unparse(call), arguments, keywords)
