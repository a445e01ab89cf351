"""Saving the readable rows of a damaged store (for instance after the loss of a disk block).

The damaged file stays beside the new one. Each row carries a digest of its content, so only unchanged rows are copied;
runs whose rows cannot be read are made again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.lab.store.opening import connect
from sim.lab.store.rows import Row, row_from
from sim.lab.store.schema import add_measures, create, insert

__all__ = ["damaged", "salvage"]

_WAL = ("", "-wal", "-shm")


def damaged(path: Path) -> bool:
    """Whether an existing store cannot be read completely, or has rows or frames that were changed."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    connection = connect(path)
    try:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return True
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
            return False  # it has no rows yet, or another program made it
        return any(row is None for row in _rows(connection))
    except sqlite3.OperationalError as error:
        if "malformed" not in str(error):
            raise
        return True
    except sqlite3.DatabaseError:
        return True
    finally:
        connection.close()


def salvage(path: Path) -> tuple[int, Path]:
    """Move a damaged store aside, and write a new one with the rows that can be read.

    Returns the number of saved runs, and the new path of the damaged file.
    """
    aside = _free(path)
    for suffix in _WAL:
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.replace(part, aside.with_name(aside.name + suffix))
    _fill(aside)
    saved = 0
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    target, source = (connect(file) for file in (new, aside))
    try:
        create(target)
        target.execute("BEGIN")
        for found in _rows(source):
            if found is None:
                continue
            key, seed, row = found
            add_measures(target, row.measures)
            insert(target, key, seed, row)
            saved += 1
        target.execute("COMMIT")
    finally:
        target.close()
        source.close()
    os.replace(new, path)
    return saved, aside


def _free(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return found


def _fill(path: Path) -> None:
    """Extend a truncated file to its former length, because SQLite does not open a shorter one."""
    with path.open("r+b") as file:
        header = file.read(100)
        size = int.from_bytes(header[16:18], "big")
        whole = (65536 if size == 1 else size) * int.from_bytes(header[28:32], "big")
        if file.seek(0, os.SEEK_END) < whole:
            file.truncate(whole)


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[str, int, Row] | None]:
    """The rows that are unchanged; None for each row that is not."""
    try:
        names = [str(found[1]) for found in connection.execute("PRAGMA table_info(runs)")]
        numbers = list(_numbers(connection))
    except sqlite3.DatabaseError:
        return
    for number in numbers:
        try:
            found = connection.execute("SELECT * FROM runs WHERE rowid = ?", (number,)).fetchone()
            values: dict[str, Any] = dict(zip(names, found or (), strict=bool(found)))
            row = row_from(values) if values else None
            frames = _frames(connection, values, row)
        except sqlite3.DatabaseError:
            yield None
            continue
        if row is not None and frames is not None:
            yield values["key"], values["seed"], row.with_frames(frames)
        elif values:
            yield None


def _numbers(connection: sqlite3.Connection) -> Iterator[int]:
    """The numbers that rows may have: those that can be listed, else all up to the largest that is known."""
    try:
        yield from [int(found[0]) for found in connection.execute("SELECT rowid FROM runs NOT INDEXED")]
    except sqlite3.DatabaseError:
        yield from range(1, _most(connection) + 1)


def _most(connection: sqlite3.Connection) -> int:
    """An upper bound of the number of the last row; a guess if it cannot be read."""
    try:
        return int(connection.execute("SELECT max(rowid) FROM runs").fetchone()[0] or 0)
    except sqlite3.DatabaseError:
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
        size = int(connection.execute("PRAGMA page_size").fetchone()[0])
        return pages * size // 100  # no row is so small


def _frames(
    connection: sqlite3.Connection, values: dict[str, Any], row: Row | None
) -> dict[str, bytes] | None:
    """The frames of a row; None if some are lost or damaged."""
    if row is None:
        return None
    if not values["kept"]:
        return {}
    found = dict(
        connection.execute(
            "SELECT name, csv FROM frames WHERE key = ? AND seed = ?", (values["key"], values["seed"])
        )
    )
    return found if row.holds(found) else None
