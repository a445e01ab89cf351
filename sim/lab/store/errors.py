"""Errors of a store: one line, with the file."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["StoreError", "speaking"]

_FULL = ("full", "disk i/o error")


class StoreError(OSError):
    """A store cannot be read or written: it is damaged, no store at all, or the disk is full."""


@contextmanager
def speaking(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a `StoreError` that names the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error).lower()
        if any(word in text for word in _FULL):
            raise StoreError(
                f"{path} cannot grow ({error}): what has finished is kept; make room, then go on with resume"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
            raise StoreError(f"{path} cannot be used: {error}") from error
        raise StoreError(
            f"{path} is damaged ({error}): going on with resume saves what can be read"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreError(
                f"{path} cannot grow ({error.strerror}): what has finished is kept; make room, then go on with resume"
            ) from error
        raise
