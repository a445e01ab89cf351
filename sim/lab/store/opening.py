"""Opening the file of a store: a file that is no store is refused before it is changed."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sim.lab.store.errors import StoreError
from sim.lab.store.schema import APPLICATION, FORM

__all__ = ["connect", "log_ahead", "refuse_foreign", "refuse_other"]

_MAGIC = b"SQLite format 3\0"
_TRIES = 100
_BUSY = 60.0  # real seconds to wait for another writer, which holds the file for milliseconds


def refuse_foreign(path: Path) -> None:
    """Raise `StoreError` for a file that is no SQLite file."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(16) != _MAGIC or path.stat().st_size < 100:
                raise StoreError(f"{path} is no store of results: it does not begin as an SQLite file does")


def refuse_other(path: Path, connection: sqlite3.Connection) -> None:
    """Raise `StoreError` for a file of another program, or of another form."""
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise StoreError(f"{path} is no store of results: another program made it")
    form = connection.execute("PRAGMA user_version").fetchone()[0]
    if form != FORM:
        raise StoreError(f"{path} has the form {form}; this version reads the form {FORM}")


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file, which begins no transaction by itself."""
    return sqlite3.connect(path, timeout=_BUSY, isolation_level=None)


def log_ahead(connection: sqlite3.Connection) -> None:
    """Write changes to a log first (WAL): then a commit costs no sync, and a crash leaves complete rows."""
    for _ in range(_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            # Another process does the same now, and SQLite does not wait for it.
            time.sleep(0.05)
    connection.execute("PRAGMA synchronous = NORMAL")
