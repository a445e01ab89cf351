"""Text of a file: UTF-8, or UTF-16 where a byte order mark says so (a spreadsheet's "Unicode text")."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

__all__ = ["encoding_of", "parse_json", "read_text", "readable", "short"]


def encoding_of(path: str | PathLike[str]) -> str:
    """The encoding of a text file, by its byte order mark. Raises OSError if the file cannot be opened."""
    with Path(path).open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def read_text(path: str | PathLike[str]) -> str:
    """The whole text of a file. Raises ValueError, with the name of the file, if it cannot be read."""
    with readable(path):
        return Path(path).read_text(encoding=encoding_of(path))


@contextmanager
def readable(path: str | PathLike[str]) -> Iterator[None]:
    """A context: errors of reading this file become ValueErrors with its name."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error})") from None


def short(value: Any) -> str:
    """A value for an error message, cut after 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse_json(path: str | PathLike[str], text: str) -> Any:
    """The value of a JSON text. Raises ValueError with file, line and column; a key that comes twice is refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"{path}: the key {twice!r} comes twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})"
        ) from None
    except RecursionError:
        raise ValueError(f"{path}: JSON that is too deeply nested") from None
