"""Reading a store without its scenarios: a frame of all its runs, its progress, and files for other programs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.display import Displayed
from sim.lab.store.database import FILE
from sim.lab.store.errors import StoreError, speaking
from sim.lab.store.opening import connect, refuse_foreign, refuse_other
from sim.lab.store.schema import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GridProgress", "export", "progress", "results"]


@dataclass(frozen=True)
class GridProgress(Displayed):
    """The progress of a grid: its kind and fields, and how many of its runs finished or failed."""

    kind: str
    fields: tuple[str, ...]
    runs: int
    finished: int
    failed: int

    def __str__(self) -> str:
        over = f" over {', '.join(self.fields).replace('__', '.')}" if self.fields else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.kind}{over}: {self.finished} of {self.runs} runs finished{failed}"


@contextmanager
def _reading(folder: Path | str) -> Iterator[sqlite3.Connection]:
    path = Path(folder) / FILE
    if not path.exists():
        raise StoreError(f"there is no {FILE} in {str(folder)!r}")
    refuse_foreign(path)
    with speaking(path), closing(connect(path)) as connection:
        refuse_other(path, connection)
        yield connection


def progress(folder: Path | str) -> list[GridProgress]:
    """The progress of each sweep, each comparison and all storms that wrote to the store, the latest last."""
    with _reading(folder) as connection:
        rows = connection.execute(
            "SELECT kind, fields, count(*), count(status = 'ok' OR NULL), count(status = 'failed' OR NULL) "
            "FROM grids JOIN points USING (grid) LEFT JOIN runs USING (key, seed) GROUP BY grid ORDER BY grids.rowid"
        ).fetchall()
    return [GridProgress(kind, tuple(json.loads(fields)), *counts) for kind, fields, *counts in rows]


def results(folder: Path | str) -> pd.DataFrame:
    """One row for each run in the store, of all versions and scenarios.

    Columns: the varied fields, ``run`` (label), ``seed, status, error, verdict, digest, version, finished, key`` and
    each measure. Raises `StoreError` for a folder without a store, and for a file that is none.
    """
    import pandas as pd

    with _reading(folder) as connection:
        found = pd.DataFrame(_records(connection.execute("SELECT * FROM runs ORDER BY rowid")))
        where = {
            (key, seed): (label, json.loads(point))
            for key, seed, label, point in connection.execute(
                "SELECT key, seed, label, point FROM points JOIN grids USING (grid) ORDER BY grids.rowid"
            )
        }
        versions = dict(connection.execute("SELECT key, version FROM scenarios").fetchall())
    if not len(found):
        return found
    known = [where.get(run, ("", {})) for run in zip(found["key"], found["seed"], strict=True)]
    fields = list(dict.fromkeys(name for _, point in known for name in point))
    table: dict[str, Any] = {name: [point.get(name) for _, point in known] for name in fields}
    table["run"] = [label for label, _ in known]
    names = ("seed", "status", "error", "verdict", "digest")
    table |= {name: found[name] for name in names}
    table |= {"version": found["key"].map(versions), "finished": found["finished"], "key": found["key"]}
    measures = found.drop(columns=list(COLUMNS))
    return pd.concat([pd.DataFrame(table), measures.astype(float)], axis=1)


def _records(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def export(folder: Path | str, file: Path | str) -> Path:
    """Write `results` to a ``.csv`` or ``.parquet`` file; returns its path.

    Raises ValueError for another suffix, and for Parquet where pyarrow is not installed.
    """
    from sim.analysis.store import write_frame

    return write_frame(results(folder), file)
