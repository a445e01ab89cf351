"""The page of a log of messages of another system."""

from __future__ import annotations

from pathlib import Path

from sim.analysis.message_frames import log_frames
from sim.analysis.space_time_data import space_time_data
from sim.lab.report.parts import checked_path, faults_played, frame_table, write_report
from sim.page import packed_text
from sim.page.document import Packed, Section
from sim.readers.message_log import MessageLog

__all__ = ["log_report"]


def log_report(log: MessageLog, path: Path | str, *, title: str = "") -> Path:
    """Write the page of a log, with tables of its kinds of messages and of its faults; returns the path.

    Raises ValueError for a log without messages and events, and for one that is too large for a page.
    """
    file = checked_path(path)
    if not (log.messages or log.events or log.operations):
        raise ValueError(f"{title or 'the log'} names no message, no event and no operation")
    frames, ended = log_frames(log)
    drawn, details = space_time_data(frames, ended=ended, title=title, states=bool(log.steps))
    drawn["notes"] = []  # states are not left out: the log has none
    kinds = frames["messages"].groupby(["kind", "fate"], sort=False).size().reset_index(name="messages")
    sections = [
        Section("Step through it", [Packed(packed_text(drawn), packed_text(details))]),
        Section("Messages", frame_table(kinds, {}) if len(kinds) else []),
        faults_played(frames["events"]),
    ]
    lead = f"{len(log.messages):,} messages between {len(drawn['nodes']):,} nodes in {ended:.6g} s."
    return write_report(file, title or "A log of messages", lead, sections)
