"""The parts that reports have in common: charts, the scenario in words, faults, the space-time page, how to repeat."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cluster import share_traced
from sim.display import TextTable
from sim.faults.checks import WORLD_EVENTS
from sim.lab.described import sentences
from sim.lab.version import version
from sim.page import packed_text
from sim.page.document import MOST_BYTES, Chart, Code, Packed, Remark, ReportBlock, Section, page, within
from sim.plain import plain

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.space_time_data import SpaceTime
    from sim.lab.run import Check, Run
    from sim.lab.scenario import Scenario

__all__ = [
    "chart",
    "checked_path",
    "data_of",
    "faults_played",
    "frame_table",
    "reproducing",
    "scenario_in_words",
    "space_time",
    "svg_of",
    "verdict",
    "write_report",
]

_MOST_ROWS = 400
_LETTERS = 200
_MOST_FRAME = 6_000_000  # bytes of one space-time page
SUFFIXES = (".html", ".htm")


def checked_path(path: Path | str) -> Path:
    """The path of a report. Raises ValueError for another ending, and for a folder that is not there."""
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise ValueError(f"a report is an HTML file: the name of {str(file)!r} must end in .html")
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise ValueError(f"nothing can be written to {str(file)!r}: {file.absolute().parent} is no folder")
    return file


def write_report(path: Path | str, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write a report, completely or not at all; what does not fit into `MOST_BYTES` is left out, and said."""
    from sim.analysis.store import atomic

    file = checked_path(path)
    text = page(title, lead, within([section for section in sections if section.blocks]))
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(
            f"the report has {len(text.encode()):,} bytes, and at most {MOST_BYTES:,} are allowed"
        )
    with atomic(file) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return file


def chart(draw: Callable[[], Any], alt: str) -> Chart:
    """A chart of `sim.lab.plots` as SVG. ``alt``: what it shows."""
    return Chart(svg_of(draw()), alt)


def svg_of(drawn: Any) -> bytes:
    """The figure of these Axes as SVG."""
    from sim.analysis import plots

    with tempfile.TemporaryDirectory() as folder:
        return plots.save(drawn, Path(folder) / "chart.svg").read_bytes()


def scenario_in_words(scenario: Scenario, seed: int | None = None) -> Section:
    """The section that says what was run."""
    return Section("What was run", sentences(scenario, seed))


def faults_played(events: pd.DataFrame) -> Section:
    """The section with each fault as it was played, and each end of one."""
    rows = events[events["event"].isin(sorted(WORLD_EVENTS))]
    found = [
        (f"{time:.6f}", str(node or "–"), str(event), _detail(detail))
        for time, node, event, detail in zip(
            rows["time"], rows["node"], rows["event"], rows["detail"], strict=True
        )
    ]
    if not found:
        return Section("Faults played", ["Nothing went wrong."])
    heads = (("time [s]", True), ("node", False), ("event", False), ("detail", False))
    return Section("Faults played", _table(found, heads))


def _detail(detail: Any) -> str:
    if not isinstance(detail, Mapping):
        return ""
    if "label" in detail:
        return str(detail["label"])
    return ", ".join(f"{name} {plain(value)}" for name, value in detail.items())


def frame_table(frame: pd.DataFrame, units: Mapping[str, str]) -> list[ReportBlock]:
    """A frame as a table. ``units``: column -> its unit, for the head."""
    numbers = {str(name) for name in frame.columns if frame[name].dtype.kind in "if"}
    columns = [
        (
            f"{str(name).replace('_', ' ')}{f' [{units[str(name)]}]' if str(name) in units else ''}",
            [_cell(value) for value in frame[name][:_MOST_ROWS]],
            str(name) in numbers,
        )
        for name in frame.columns
    ]
    return [TextTable(columns), *_more(len(frame))]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(rows: Sequence[Sequence[str]], heads: Sequence[tuple[str, bool]]) -> list[ReportBlock]:
    shown = [[_short(cell) for cell in row] for row in rows[:_MOST_ROWS]]
    columns = [(head, [row[at] for row in shown], number) for at, (head, number) in enumerate(heads)]
    return [TextTable(columns), *_more(len(rows))]


def _more(count: int) -> list[ReportBlock]:
    more = count - _MOST_ROWS
    return [Remark(f"{more:,} more rows are left out.")] if more > 0 else []


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def verdict(run: Run, check: Check | None) -> Section:
    """The section with the verdicts; where the history contradicts the claim, with the counterexample drawn."""
    if check is None:
        return Section("Verdicts", ["The history was not judged."])
    blocks: list[ReportBlock] = [str(check) if check.ok else Remark(str(check))]
    if check.verdict is not None and check.verdict.valid is False and len(run.operations):
        from sim.analysis.checks import history_chart

        found = check.verdict
        blocks.append(
            chart(lambda: history_chart(run.operations, found), "the operations that contradict each other")
        )
    if run.acknowledged_lost:
        blocks.append(Remark(f"{run.acknowledged_lost} acknowledged writes were lost."))
    return Section("Verdicts", blocks)


def data_of(
    run: Run, broken: Mapping[str, Any] | None = None, *, contents: bool = True, states: bool = True
) -> SpaceTime:
    """The data of the space-time page of a run; see `space_time_data`. ``broken``: None: its violation, if any."""
    from sim.analysis.space_time_data import space_time_data

    if broken is None and run.violation is not None:
        found = run.violation
        broken = {"time": found.time, "nodes": list(found.nodes), "text": f"BROKEN: {found}"}
    return space_time_data(
        run.frames,
        ended=run.ended,
        title=run.label,
        traced=bool(run.scenario.trace),
        broken=broken,
        contents=contents,
        states=states,
    )


def space_time(
    run: Run, broken: Mapping[str, Any] | None = None, room: int = _MOST_FRAME
) -> list[ReportBlock]:
    """The space-time page of a run in at most ``room`` bytes.

    Where it is larger, the contents of messages are left out, then the states of nodes too; the page says so. What is
    too large even then is left out as a whole.
    """
    if 0.0 < share_traced(run.scenario.trace) < 1.0:
        return [Remark("The space-time page is left out: the trace holds a share of the messages only.")]
    for contents, states in ((True, True), (False, True), (False, False)):
        drawn, details = data_of(run, broken, contents=contents, states=states)
        packed = Packed(packed_text(drawn), packed_text(details))
        if len(packed.drawn) + len(packed.details) <= room:
            return [packed]
    count = len(run.messages)
    return [
        Remark(
            f"The space-time page is left out: the {count:,} messages of this run do not fit into {room / 1e6:.3g} MB. "
            "Run it shorter (duration)."
        )
    ]


def reproducing(scenarios: Mapping[str, Scenario], seeds: Sequence[int], digests: Sequence[str]) -> Section:
    """The section that says how to make these runs again. ``scenarios``: label -> scenario."""
    blocks: list[ReportBlock] = [
        f"Made by {version()}. Save a scenario as scenario.toml and run it; equal digests: equal runs, bit for bit.",
        Code("\n".join(f"sim run scenario.toml --seed {seed}" for seed in list(dict.fromkeys(seeds))[:3])),
    ]
    for label, scenario in scenarios.items():
        try:
            blocks.append(Code(scenario.to_toml(), f"scenario.toml: {label}"))
        except ValueError as error:
            blocks.append(Remark(f"The scenario of {label} has no written form: {error}"))
    shown = list(zip(map(str, seeds), digests, strict=True))
    blocks += _table(shown, (("seed", True), ("digest of the run", False)))
    return Section("How to reproduce it", blocks)
