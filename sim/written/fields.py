"""The meaning of the fields of a value, read from the docstrings of its class, so that no text is written twice.

A docstring explains fields under the heading "Parameters": one or several names on a line, and the text indented below.
The text of a base class counts, unless the class has a text of its own. A text of its own that begins with "See" adds
to that of the base.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from sim.settings import Bounds, Size, described

__all__ = ["described_with_bounds", "in_words", "meanings"]

_NAMES = re.compile(r"\*{0,2}\w+(?:, \*{0,2}\w+)*:")
_CODE = re.compile(r"``([^`]*)``|`([^`]*)`")
_SEE = re.compile(r"See \S+\.(?: |$)")


def meanings(cls: type) -> dict[str, str]:
    """Field -> what it means, for the fields that the docstrings of a class and its bases explain."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        for names, text in _entries(owner.__doc__ or ""):
            for name in names:
                more = _SEE.sub("", text, count=1)
                found[name] = text if more == text else f"{found.get(name, '')} {more}".strip()
    return found


def in_words(cls: type) -> str:
    """What a class is: its docstring up to the first heading, in one line."""
    return _line(re.split(r"\n[^\n]+\n-{3,}\n", inspect.cleandoc(cls.__doc__ or cls.__name__) + "\n")[0])


def _entries(doc: str) -> Iterator[tuple[list[str], str]]:
    """The explanations in a docstring: the names of fields, and the text."""
    names: list[str] = []
    text: list[str] = []
    inside = False
    lines = inspect.cleandoc(doc).splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if inside and line.startswith(" "):
            text.append(line)
            continue
        if line and names:
            yield names, _line("\n".join(text))
            names, text = [], []
        if after and not after.strip("-"):
            inside = line.startswith("Parameters")
        elif inside and _NAMES.fullmatch(line):
            names = [name.strip(" *") for name in line.removesuffix(":").split(",")]
        elif line.strip("-"):
            inside = False
    if names:
        yield names, _line("\n".join(text))


def _line(text: str) -> str:
    """A text in one line, without the marks of code."""
    return " ".join(_CODE.sub(lambda found: found[1] or found[2], text).split())


def described_with_bounds(hint: Any) -> str:
    """The values that an annotation allows, in words, with the bounds of a number; "" where it allows any value."""
    if hint is Any:
        return ""
    words = described(hint)
    bounds = dict.fromkeys(
        f"at most {limit.most:,}" if isinstance(limit, Size) else limit.words.removeprefix(words).strip()
        for limit in _limits(hint)
    )
    return f"{words} ({', '.join(bounds)})" if bounds else words


def _limits(hint: Any) -> Iterator[Bounds | Size]:
    """The bounds of a number, or of a number that is an alternative of the annotation."""
    parts = get_args(hint)
    if get_origin(hint) is Annotated:
        yield from (limit for limit in parts[1:] if isinstance(limit, Bounds | Size))
    for part in parts:
        if get_origin(part) is Annotated:
            yield from _limits(part)
