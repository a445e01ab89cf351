"""Exports of a run for other tools; the ending of the name says for which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.lab.run import Run

__all__ = ["EXPORTS", "checked_export", "export_run"]

EXPORTS = {
    ".pftrace": "a trace for Perfetto",
    ".shiviz": "a log for ShiViz",
    ".jsonl": "messages, steps and events for `sim view`",
}
"""Ending -> what is written. A name without an ending is a folder for the frames."""


def checked_export(path: Path | str) -> Path:
    """The path of an export. Raises ValueError for an ending that is not known."""
    file = Path(path)
    if file.suffix in ("", *EXPORTS):
        if not file.absolute().parent.is_dir():
            raise ValueError(
                f"nothing can be written to {str(file)!r}: {file.absolute().parent} is no folder"
            )
        if file.suffix and file.is_dir():
            raise ValueError(f"nothing can be written to {str(file)!r}: it is a folder")
        return file
    raise ValueError(
        f"{str(file)!r}: a name ends in {', '.join(EXPORTS)}, or has no ending: a folder for the frames (CSV, Parquet)"
    )


def export_run(run: Run, path: Path | str) -> list[Path]:
    """Write a run for another tool; returns the paths. See `Run.export`."""
    file = checked_export(path)
    if file.suffix == ".pftrace":
        from sim.analysis.perfetto import write_perfetto

        return [write_perfetto(run.frames, file, ended=run.ended)]
    if file.suffix == ".shiviz":
        from sim.analysis.logs import write_shiviz

        return [write_shiviz(run.frames, file)]
    if file.suffix == ".jsonl":
        from sim.analysis.logs import write_message_log

        return [write_message_log(run.frames, file)]
    from sim.analysis.store import write_frames

    return write_frames(run.frames, file)
