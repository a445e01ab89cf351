"""`sim validate`: published results, simulated again and judged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.inputs import processes
from sim.commands.output import out_folder, prepare

if TYPE_CHECKING:
    from sim.validation import Published, Validated

__all__ = ["command"]


@click.command("validate", epilog="Examples: sim validate; sim validate --fast; sim validate swim_detection")
@click.argument("names", nargs=-1, metavar="[RESULT]...")
@click.option("--fast", is_flag=True, help="Only the cases that are quick: less than a minute of CPU time.")
@click.option("--list", "lists", is_flag=True, help="List the results and simulate nothing.")
@processes
@out_folder("Write page, figures (JSON) and charts there; samples are kept there until all are measured.")
@click.option("--resume", is_flag=True, help="Go on with the samples that are in --out.")
@click.pass_context
def command(
    context: click.Context,
    names: tuple[str, ...],
    fast: bool,
    lists: bool,
    workers: int | None,
    out: Path | None,
    resume: bool,
) -> None:
    """Simulate published results and judge each figure: RESULT is a name, or package.module:NAME; none: all.

    Exit code 1: a figure is red, or its sample is too small; 2: bad input.
    """
    from sim.validation import all_results, result_named, validate
    from sim.validation.page import write

    _refuse_useless(lists, fast, workers, out, resume)
    chosen = [result_named(name) for name in dict.fromkeys(names)] or all_results()
    if lists:
        _echo_table([(result.name, result.source, result.title) for result in chosen])
        return
    if out is not None:
        prepare(out)
    found = validate(chosen, fast=fast, workers=workers, progress="validating", out=out, resume=resume)
    _refuse_none(chosen, found)
    if out is not None:
        known = all_results()
        click.echo(f"written: {write(out, found, [*known, *(r for r in chosen if r not in known)])}")
    _tell(found, whole_tables=bool(names))
    context.exit(0 if all(outcome.verdict == "green" for outcome in found) else 1)


def _refuse_useless(lists: bool, fast: bool, workers: int | None, out: Path | None, resume: bool) -> None:
    if lists and (fast or resume or workers is not None or out is not None):
        raise click.UsageError("--list simulates nothing: no other option has an effect with it")
    if resume and out is None:
        raise click.UsageError("--resume needs --out: the folder with the samples to go on with")
    if fast and out is not None:
        raise click.UsageError("--out writes whole results; --fast simulates only some cases of each")


def _refuse_none(chosen: list[Published], found: list[Validated]) -> None:
    if not found:
        raise click.UsageError(f"no case of {', '.join(r.name for r in chosen)} is quick: leave out --fast")


def _tell(found: list[Validated], whole_tables: bool) -> None:
    from sim.validation.page import short_line, table_lines

    _echo_table(
        [("result", "source", "figures", "worst deviation", "verdict", "CPU s"), *map(short_line, found)]
    )
    for outcome in found:
        head, *lines = table_lines(outcome)
        wanted = lines if whole_tables else [line for line in lines if line[-1] != "green"]
        if wanted:
            click.echo(f"\n{outcome.published.name} ({outcome.published.unit})")
            _echo_table([head, *wanted])


def _echo_table(rows: Iterable[tuple[str, ...]]) -> None:
    cells = list(rows)
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
