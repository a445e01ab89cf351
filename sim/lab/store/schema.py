"""The tables of a store, for any program that reads SQLite.

``runs`` has a row for each run that has finished; its measures are columns, added as they occur. ``scenarios`` says
what a key stands for. ``grids`` and ``points`` hold the plan of a sweep, a comparison or storms, in its order.
``frames`` has compressed CSV (zlib) of those runs whose frames are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from sim.lab.store.rows import Row

__all__ = ["APPLICATION", "COLUMNS", "FORM", "add_measures", "create", "insert"]

APPLICATION = 0x514C4142
"""The application id in the header of the file ("QLAB"), by which a store is known."""

FORM = 1
"""The form of the tables; a store of another one is refused."""

COLUMNS = ("key", "seed", "status", "error", "verdict", "digest", "kept", "told", "sha256", "finished")
"""The columns of ``runs`` that are no measures."""

_TABLES = """
CREATE TABLE IF NOT EXISTS scenarios (
    key TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    python TEXT NOT NULL,
    numpy TEXT NOT NULL,
    how TEXT NOT NULL,
    written TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (
    key TEXT NOT NULL,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    verdict TEXT,
    digest TEXT,
    kept INTEGER NOT NULL,
    told TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    finished TEXT NOT NULL DEFAULT (datetime('now')),
    PRIMARY KEY (key, seed)
);
CREATE TABLE IF NOT EXISTS frames (
    key TEXT NOT NULL,
    seed INTEGER NOT NULL,
    name TEXT NOT NULL,
    csv BLOB NOT NULL,
    PRIMARY KEY (key, seed, name)
);
CREATE TABLE IF NOT EXISTS grids (grid TEXT PRIMARY KEY, kind TEXT NOT NULL, fields TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS points (
    grid TEXT NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    seed INTEGER NOT NULL,
    label TEXT NOT NULL,
    point TEXT NOT NULL,
    PRIMARY KEY (grid, number)
);
"""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables if there are none yet."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'points'").fetchone():
        return
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORM}")
    connection.execute("COMMIT")


def insert(connection: sqlite3.Connection, key: str, seed: int, row: Row) -> None:
    """Write a row, and its frames, in the place of any other of the same run."""
    values: dict[str, Any] = {
        "key": key,
        "seed": seed,
        "status": row.status,
        "error": row.error,
        "verdict": row.verdict,
        "digest": row.digest,
        "kept": int(row.kept),
        "told": row.told,
        "sha256": row.seal(key, seed),
        **row.measures,
    }
    columns = ", ".join(map(_quoted, values))
    connection.execute(
        f"INSERT OR REPLACE INTO runs ({columns}) VALUES ({', '.join('?' * len(values))})",
        tuple(values.values()),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO frames VALUES (?, ?, ?, ?)",
        [(key, seed, name, csv) for name, csv in row.frames.items()],
    )


def add_measures(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Give each of these measures a column. Raises ValueError for a measure with the name of another column."""
    known = {str(row[1]) for row in connection.execute("PRAGMA table_info(runs)")}
    for name in names:
        if name in COLUMNS:
            raise ValueError(f"a measure cannot be called {name!r}: the store has a column of that name")
        if name not in known:
            connection.execute(f"ALTER TABLE runs ADD COLUMN {_quoted(name)} REAL")


def _quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
