"""Rows of a store: the result of one run, as plain values; and the run that a row describes."""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sim.lab.run import Check, Run
from sim.lab.run_record import check_of, frame_of, record_of, run_of
from sim.written.texts import json_of

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.scenario import Scenario

__all__ = ["Row", "failed_row", "read_frames", "row_from", "row_of", "run_of_row"]


@dataclass(frozen=True)
class Row:
    """The result of a run.

    ``told``: all that a manifest says of it (see `sim.lab.run_record`), as JSON; ``measures``: by name; ``frames``:
    name -> compressed CSV; ``kept``: whether frames are; ``error``: why it failed, or None.
    """

    status: str
    error: str | None = None
    digest: str | None = None
    verdict: str | None = None
    told: str = "{}"
    measures: Mapping[str, float] = field(default_factory=dict)
    frames: Mapping[str, bytes] = field(default_factory=dict)
    kept: bool = False

    def with_frames(self, frames: Mapping[str, bytes]) -> Row:
        """The row with these frames."""
        return replace(self, frames=frames)

    def holds(self, frames: Mapping[str, bytes]) -> bool:
        """Whether these are the frames that the row was written with, by their digests."""
        wanted: dict[str, str] = json.loads(self.told).get("sha256", {})
        found = {
            name: sha256(csv).hexdigest() if isinstance(csv, bytes) else None for name, csv in frames.items()
        }
        return wanted == found

    def seal(self, key: str, seed: int) -> str:
        """A digest of the row; it shows whether the row was damaged."""
        parts: list[Any] = [
            key,
            seed,
            self.kept,
            self.status,
            self.error,
            self.digest,
            self.verdict,
            self.told,
        ]
        parts += [[name, repr(float(value))] for name, value in self.measures.items()]
        return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def row_of(run: Run, check: Check | None, frames: bool) -> Row:
    """The row of a run. ``frames``: with its frames."""
    said = record_of(run, check)
    measures = run.measures()
    said["measures"] = list(measures)
    packed = {name: _packed(frame) for name, frame in run.frames.items() if len(frame)} if frames else {}
    said["sha256"] = {name: sha256(csv).hexdigest() for name, csv in packed.items()}
    return Row(
        "ok",
        digest=run.digest(),
        verdict="not checked" if check is None else check.status,
        told=json_of(said, None),
        measures=measures,
        frames=packed,
        kept=frames,
    )


def row_from(values: Mapping[str, Any]) -> Row | None:
    """The row made from the columns of ``runs``; None if it was changed after it was written."""
    try:
        wanted = json.loads(values["told"]).get("measures", [])
        # SQLite keeps no nan, and gives NULL for it.
        named = {name: math.nan if values[name] is None else float(values[name]) for name in wanted}
        parts = {name: values[name] for name in ("status", "error", "digest", "verdict", "told")}
        row = Row(**parts, measures=named, kept=bool(values["kept"]))
        return row if row.seal(values["key"], values["seed"]) == values["sha256"] else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def failed_row(reason: str) -> Row:
    """The row of a run that failed."""
    return Row("failed", error=reason)


def _packed(frame: pd.DataFrame) -> bytes:
    from sim.analysis.store import csv_of

    return zlib.compress(csv_of(frame).encode(), 6)


def read_frames(packed: Mapping[str, bytes], columns: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The frames of a row, with the columns and types that they had."""
    from sim.analysis.store import frame_of_csv

    return {
        name: frame_of(
            frame_of_csv(io.StringIO(zlib.decompress(packed[name]).decode())) if name in packed else None,
            0,
            said["rows"],
            said["columns"],
        )
        for name, said in columns.items()
    }


def run_of_row(
    row: Row,
    scenario: Scenario,
    frames: Callable[[Mapping[str, Any]], dict[str, pd.DataFrame]],
    has_frames: bool,
) -> tuple[Run, Check | None]:
    """The run that a row describes, and its check. ``frames`` gives its frames when they are first asked for."""
    said = json.loads(row.told)
    run = run_of({**said, "measures": row.measures}, scenario, lambda: frames(said["frames"]), has_frames)
    return run, check_of(said["check"], run)
