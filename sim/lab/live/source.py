"""Functions that a user gives to a live session: what they read from outside, and their text."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

__all__ = ["outside", "snapshot", "text_of_function"]


def _names(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in a function and in those within it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def outside(function: FunctionType) -> dict[str, Any]:
    """What a function reads from outside, by name: variables of the functions around it, and globals."""
    code = function.__code__
    found = {
        name: function.__globals__[name]
        for name in dict.fromkeys(_names(code))
        if name in function.__globals__
    }
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    return found | {name: cell.cell_contents for name, cell in cells}


def snapshot(function: FunctionType) -> FunctionType:
    """A copy of a function for which the variables that it reads from outside keep their values of now.

    A snapshot is its own snapshot.
    """
    if hasattr(function, "is_snapshot"):
        return function
    read = outside(function)
    scope = {"__builtins__": __builtins__, "__name__": function.__module__, **read}
    cells = tuple(CellType(read[name]) for name in function.__code__.co_freevars)
    made = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells or None)
    made.__kwdefaults__, made.__module__ = function.__kwdefaults__, function.__module__
    made.__qualname__ = function.__qualname__
    made.is_snapshot = True  # type: ignore[attr-defined]
    return made


def text_of_function(function: FunctionType) -> str:
    """A function in Python: a ``lambda`` as an expression, any other as a ``def``.

    Raises ValueError where its text is not known: it was typed into a plain prompt, or made by another program.
    """
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        tree = ast.Module([], [])
    found = [node for node in ast.walk(tree) if _is_of(node, function)]
    if found:  # a lambda may stand within another one: the inner one is later in this order
        return ast.unparse(found[-1])
    raise ValueError(
        f"the text of the function {function.__qualname__} is not known: define it in a file, or in a cell of a "
        "notebook"
    )


def _is_of(node: ast.AST, function: FunctionType) -> bool:
    """Whether a function was defined by this part of its file. Several lambdas may stand on one line."""
    code = function.__code__
    if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
        return min([node.lineno, *(d.lineno for d in node.decorator_list)]) == code.co_firstlineno
    if not isinstance(node, ast.Lambda) or function.__name__ != "<lambda>":
        return False
    if node.lineno != code.co_firstlineno:
        return False
    begin, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    spots = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    return bool(spots) and all(begin <= spot <= end for spot in spots)
