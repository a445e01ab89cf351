"""A store: one SQLite file. Each run is written to it as soon as it has finished.

The file is in WAL mode, and each row is a transaction: if a process is killed, a row is written completely or not at
all. Two processes may write to one store.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Literal

from sim.lab.store.claims import Claims
from sim.lab.store.errors import StoreError, speaking
from sim.lab.store.opening import connect, log_ahead, refuse_foreign, refuse_other
from sim.lab.store.rows import Row, row_from
from sim.lab.store.salvage import damaged, salvage
from sim.lab.store.schema import add_measures, create, insert

__all__ = ["FILE", "ResultStore"]

FILE = "results.sqlite"
"""The name of the file in its folder."""


class ResultStore:
    """An open store. Use it as a context, so that it is closed.

    Parameters
    ----------
    folder:
        Where its file is, or will be.
    use:
        ``"new"``: it must have no results yet. ``"resume"``: continue with its results; of a damaged store, the
        readable rows are saved, with a warning. ``"read"``: it must exist, and is not changed.

    Raises `StoreError` for a file that is no store, is damaged, or cannot be written; ValueError if a new store has
    results already.
    """

    def __init__(self, folder: Path | str, use: Literal["new", "resume", "read"] = "new") -> None:
        self.path = Path(folder) / FILE
        with speaking(self.path), ExitStack() as opened:
            if use == "read" and not self.path.exists():
                raise StoreError(f"there is no {FILE} in {str(folder)!r}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            refuse_foreign(self.path)
            self._claims: Claims | None = None
            if use != "read":
                self._claims = opened.enter_context(closing(Claims(self.path.with_suffix(".claims"))))
                if use == "resume" and damaged(self.path):
                    self._salvage()
                self._claims.join()
            self._connection = opened.enter_context(closing(connect(self.path)))
            refuse_other(self.path, self._connection)
            if use != "read":
                log_ahead(self._connection)
                create(self._connection)
            if use == "new":
                self._refuse_results()
            self._opened = opened.pop_all()

    def _salvage(self) -> None:
        if self._claims is None or not self._claims.alone():
            raise StoreError(f"{self.path} is damaged, and another process is at it: end that one first")
        saved, aside = salvage(self.path)
        warnings.warn(
            f"{self.path} was damaged: {saved} runs could be saved, the others are made again; it is kept as {aside}",
            stacklevel=4,
        )

    def claim(self, key: str, seed: int) -> bool:
        """Claim a run; False if another process has claimed it."""
        return self._claims is not None and self._claims.claim(key, seed)

    def release(self, key: str, seed: int) -> None:
        """Give up a claim."""
        if self._claims is not None:
            self._claims.release(key, seed)

    def _refuse_results(self) -> None:
        count = self.count()
        if count:
            raise ValueError(
                f"{self.path.parent} has the results of {count} run{'s' if count > 1 else ''}: go on with them by "
                "--resume (resume=True), or choose another folder"
            )

    # What is asked for

    def plan(
        self,
        kind: str,
        fields: Sequence[str],
        scenarios: Mapping[str, Mapping[str, str]],
        points: Sequence[tuple[str, int, str, str]],
        grid: str,
    ) -> None:
        """Write the plan of a grid: its runs.

        ``scenarios``: key -> its columns. ``points``: key, seed, label and point (JSON) of each run. Runs of it that
        had failed are forgotten, so that they run again.
        """
        with speaking(self.path), self._transaction():
            for key, columns in scenarios.items():
                names = ("key", *columns)
                self._connection.execute(
                    f"INSERT OR IGNORE INTO scenarios ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                    (key, *columns.values()),
                )
                self._connection.execute("DELETE FROM runs WHERE key = ? AND status = 'failed'", (key,))
            self._connection.execute(
                "INSERT OR REPLACE INTO grids VALUES (?, ?, ?)", (grid, kind, json.dumps(list(fields)))
            )
            self._connection.execute("DELETE FROM points WHERE grid = ?", (grid,))
            self._connection.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?)",
                [(grid, number, *point) for number, point in enumerate(points)],
            )

    # Rows

    def keep(self, key: str, seed: int, row: Row) -> None:
        """Write the result of a run. If the run is stored already, that row stays, unless the new one has its frames.

        Raises ValueError if a run of the same key and seed had another digest: the run depends on more than its seed.
        """
        with speaking(self.path), self._transaction():
            found = self._connection.execute(
                "SELECT status, digest, kept FROM runs WHERE key = ? AND seed = ?", (key, seed)
            ).fetchone()
            if found is not None and found[0] == "ok":
                if row.status == "ok" and row.digest != found[1]:
                    raise ValueError(
                        f"seed {seed} gave two runs: the digests {found[1]} and {row.digest} stand for the same "
                        "scenario, version and seed, so that something else decided, too"
                    )
                if row.status != "ok" or bool(found[2]) >= row.kept:
                    return
            add_measures(self._connection, row.measures)
            insert(self._connection, key, seed, row)

    def has(self, key: str, seed: int, frames: bool = False) -> bool:
        """Whether a run has finished (or failed); ``frames``: and its frames are kept."""
        with speaking(self.path):
            found = self._connection.execute(
                "SELECT status, kept FROM runs WHERE key = ? AND seed = ?", (key, seed)
            ).fetchone()
        return found is not None and (found[0] == "failed" or not frames or bool(found[1]))

    def row(self, key: str, seed: int) -> Row | None:
        """The row of a run, without its frames; None if the run has not finished.

        Raises `StoreError` for a row that was changed after it was written.
        """
        with speaking(self.path):
            cursor = self._connection.execute("SELECT * FROM runs WHERE key = ? AND seed = ?", (key, seed))
            found = cursor.fetchone()
        if found is None:
            return None
        names = [column[0] for column in cursor.description]
        row = row_from(dict(zip(names, found, strict=True)))
        if row is None:
            raise StoreError(f"{self.path} is damaged: the row of seed {seed} is not what was written")
        return row

    def frames(self, key: str, seed: int) -> dict[str, bytes]:
        """The frames of a run that are kept, as compressed CSV by name."""
        with speaking(self.path):
            return dict(
                self._connection.execute(
                    "SELECT name, csv FROM frames WHERE key = ? AND seed = ?", (key, seed)
                )
            )

    def count(self, grid: str | None = None) -> int:
        """The number of runs that have finished or failed: those of a grid, or all."""
        with speaking(self.path):
            if grid is None:
                found = self._connection.execute("SELECT count(*) FROM runs").fetchone()
            else:
                query = "SELECT count(*) FROM points JOIN runs USING (key, seed) WHERE grid = ?"
                found = self._connection.execute(query, (grid,)).fetchone()
        return int(found[0])

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    def close(self) -> None:
        """Close the store; when the last process closes it, a single file remains."""
        self._opened.close()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._connection.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if error is None:
                raise
