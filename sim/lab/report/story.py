"""The report of a fuzzed story: a replay file, played again with a full trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sim.lab.fuzz.playing import play
from sim.lab.fuzz.replaying import NotPlayable, Replay, broken_lines
from sim.lab.report.parts import checked_path, write_report
from sim.lab.report.run import run_sections
from sim.page.document import Code, Remark, ReportBlock, Section

__all__ = ["story_report"]

_MOST_LINES = 60  # of a story that is not folded


def story_report(replay: Replay, path: Path | str) -> Path:
    """Play a schedule again and write its report; returns the path.

    Raises `NotPlayable` where the schedule cannot be played as it is written.
    """
    file = checked_path(path)
    try:
        played = play(replace(replay.scenario, trace="full"), replay.seed)
    except (ValueError, LookupError) as error:
        raise NotPlayable(f"the schedule cannot be played as it is written: {error}") from error
    run, found = played.run, played.broken
    lines = broken_lines(found)
    told: list[ReportBlock] = []
    broken = None
    if found is None:
        told.append(Remark(f"Nothing breaks; when the file was made, this did: {replay.broken}"))
    else:
        told.append(Remark("\n".join(lines)))
        broken = {"time": found.time, "nodes": list(found.nodes), "text": "\n".join(lines)}
        if found.invariant != replay.broken.invariant:
            told.append(Remark(f"Something else broke when the file was made: {replay.broken}"))
    story = run.story(lines, calm=played.simulation.calmed)
    told.append(Code(story, "The story, line by line" if story.count("\n") > _MOST_LINES else ""))
    measures, verdicts, steps, *rest = run_sections(run, broken)
    sections = [Section("What breaks", told), steps, measures, verdicts, *rest]
    lead = f"{run.label}, seed {replay.seed}; made by {replay.version}."
    return write_report(file, replay.broken.invariant, lead, sections)
