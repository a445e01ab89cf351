"""The page docs/validation.md, its figures as JSON, and the tables that the command prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from pathlib import Path
from typing import Any

from sim.analysis.store import atomic
from sim.lab.version import version
from sim.validation.form import Published
from sim.validation.judging import GREEN, Judged
from sim.validation.running import Validated

__all__ = ["DATA", "PAGE", "kept_outcomes", "number", "page", "short_line", "table_lines", "write"]

PAGE, DATA, PICTURES = "validation.md", "validation.json", "images/validation"

HEAD = """\
# Numbers to trust

Published results, simulated again by `sim validate`. A figure is *red* when it differs from its expectation by more
than the tolerance and three standard errors. It is *too few* when three standard errors exceed the tolerance: then the
sample is too small to judge. All other figures are *green*. The sizes of the samples were set before they were drawn.
[howto_validate.md](howto_validate.md) says how to add a result; the declarations are in `sim/validation/published/`.

This page is made by `make validate`. *Expected* figures are exact, or those of a plain Monte Carlo without the
simulator; each section says which. A figure is judged by both, what is published and what is expected, unless the page
says "shown". *Worst deviation*: of the figure that differs most, measured in its tolerance.
"""


def number(value: float | None) -> str:
    """A figure with four digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:+.1f} %"


def short_line(outcome: Validated) -> tuple[str, ...]:
    """A row of the first table: name, source, figures, worst deviation, verdict, CPU seconds."""
    worst = outcome.worst
    off = f"{sum(line.verdict != GREEN for line in outcome.judged)} of " if outcome.verdict != GREEN else ""
    return (
        outcome.published.name,
        outcome.published.source,
        f"{len(outcome.judged)}",
        f"{_percent(worst.worst[1])} from {worst.worst[0]} ({_named(worst)})",
        f"{outcome.verdict}{f' ({off}{len(outcome.judged)})' if off else ''}",
        f"{outcome.seconds:.1f}",
    )


def _named(line: Judged) -> str:
    return ", ".join(part for part in (line.case, line.figure) if part)


def table_lines(outcome: Validated) -> Iterator[tuple[str, ...]]:
    """The table of a result, its head first."""
    yield (
        "case",
        "figure",
        "published",
        "expected",
        "simulated ± error",
        "deviation",
        "tolerance",
        "verdict",
    )
    for line in outcome.judged:
        expected = number(line.expected)
        yield (
            line.case,
            line.figure,
            number(line.published)
            + (" (shown)" if isinf(line.published_tolerance) and line.published is not None else ""),
            f"{expected} ± {line.expected_error:.1g}" if line.expected_error else expected,
            number(line.simulated) + (f" ± {line.error:.2g}" if line.error else ""),
            _percent(line.deviation),
            f"{100 * line.tolerance:.3g} %",
            line.verdict,
        )


def _said(line: Judged) -> str:
    shown = line.published is not None and isinf(line.published_tolerance)
    return f"{number(line.published)}{' (shown)' if shown else ''}"


def _markdown(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    for place, row in enumerate(rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
        if place == 0:
            yield "|" + "---|" * len(row)


def _anchor(heading: str) -> str:
    """The anchor that a heading gets, on GitHub as on the docs site."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def page(outcomes: Sequence[Validated], results: Sequence[Published] = ()) -> str:
    """The text of the page. ``results``: all that are declared; those without an outcome are listed as such."""
    first = [("result", "source", "figures", "worst deviation", "verdict", "CPU s")]
    rows = [
        (f"[{line[0]}](#{_anchor(outcome.published.title)})", *line[1:])
        for outcome, line in zip(outcomes, map(short_line, outcomes), strict=True)
    ]
    parts = [
        HEAD,
        *_markdown(iter([*first, *rows, *_unmeasured(outcomes, results)])),
        "",
        _sum(outcomes),
        "",
    ]
    for outcome in outcomes:
        parts += _section(outcome)
    return "\n".join(parts).rstrip() + "\n"


def _unmeasured(outcomes: Sequence[Validated], results: Sequence[Published]) -> Iterator[tuple[str, ...]]:
    """Rows of results that are declared and have not been measured: no verdict is not a green one."""
    measured = {outcome.published.name for outcome in outcomes}
    for result in results:
        if result.name not in measured:
            figures = sum(len(case.published) for case in result.cases)
            yield (result.name, result.source, f"{figures}", "", "not measured", "")


def _sum(outcomes: Sequence[Validated]) -> str:
    green = sum(outcome.verdict == GREEN for outcome in outcomes)
    figures = sum(len(outcome.judged) for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    return (
        f"{len(outcomes)} results with {figures:,} figures; all figures of {green} results are green. All of it takes "
        f"{seconds / 60:.0f} minutes of CPU time on one core."
    )


def _section(outcome: Validated) -> Iterator[str]:
    result = outcome.published
    yield f"## {result.title}"
    yield ""
    yield f"`sim validate {result.name}`. {result.source}. {result.certainty} Unit: {result.unit}."
    yield ""
    yield result.setup.strip()
    if result.expected_by:
        yield ""
        yield f"Expected: {result.expected_by}"
    yield ""
    yield from _markdown(table_lines(outcome))
    yield ""
    yield f"![{result.title}]({PICTURES}/{result.name}.png)"
    yield ""
    shown = dict.fromkeys(case.why for case in result.cases if case.why)
    yield from (f"- Shown and not judged: {why}" for why in shown)
    for what in result.perturbations:
        cases = f" ({', '.join(what.cases)})" if what.cases and len(what.cases) < 4 else ""
        yield f"- Red when {what.what}{cases}."
    weak = [f"{case.name}: {', '.join(case.weak)}" for case in result.cases if case.weak]
    if weak:
        yield f"- Weak, seen red under none of these: {'; '.join(weak)}."
    if result.notes:
        yield ""
        yield result.notes.strip()
    yield ""


def _as_tree(outcome: Validated) -> dict[str, Any]:
    return {
        "result": outcome.published.name,
        "version": version(),
        "seconds": round(outcome.seconds, 2),
        "judged": [line.as_dict() for line in outcome.judged],
    }


def kept_outcomes(folder: Path, results: Sequence[Published]) -> list[Validated]:
    """The outcomes in the JSON file of a folder, of those results that are still declared; [] without a file."""
    return [outcome for outcome, _ in _kept(folder, results)]


def _kept(folder: Path, results: Sequence[Published]) -> list[tuple[Validated, Mapping[str, Any]]]:
    file = folder / DATA
    if not file.exists():
        return []
    known = {result.name: result for result in results}
    trees = [tree for tree in json.loads(file.read_text(encoding="utf-8")) if tree["result"] in known]
    return [
        (
            Validated(
                known[tree["result"]], [Judged.from_dict(line) for line in tree["judged"]], tree["seconds"]
            ),
            tree,
        )
        for tree in trees
    ]


def write(folder: Path, outcomes: Sequence[Validated], results: Sequence[Published]) -> Path:
    """Write page, JSON and charts. Results that were measured before and are not among these outcomes stay.

    ``results``: all, in the order of the page. Returns the path of the page.
    """
    from sim.analysis.plots import save
    from sim.validation.chart import chart

    merged = {outcome.published.name: (outcome, tree) for outcome, tree in _kept(folder, results)}
    merged |= {outcome.published.name: (outcome, _as_tree(outcome)) for outcome in outcomes}
    order = {result.name: place for place, result in enumerate(results)}
    ordered = sorted(merged.values(), key=lambda pair: order[pair[0].published.name])
    for outcome in outcomes:
        name = outcome.published.name
        save(chart(outcome.published, outcome.judged), folder / PICTURES / f"{name}.png", dpi=110)
    with atomic(folder / DATA) as temporary:
        temporary.write_text(json.dumps([tree for _, tree in ordered], indent=1) + "\n", encoding="utf-8")
    with atomic(folder / PAGE) as temporary:
        temporary.write_text(page([outcome for outcome, _ in ordered], results), encoding="utf-8")
    return folder / PAGE
