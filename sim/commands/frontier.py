"""`sim frontier`: the settings of a saved sweep or comparison between which the choice is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.advice import advice_option, print_advice
from sim.commands.inputs import allow_modules
from sim.commands.output import chart_file

if TYPE_CHECKING:
    from sim.lab.compare import Comparison
    from sim.lab.settings import Better
    from sim.lab.sweep import Sweep

__all__ = ["command"]


@click.command(
    "frontier",
    epilog="Example: sim frontier results/sweep unavailability false_elections --chart frontier.png",
)
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.argument("measures", nargs=-1, required=True)
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=chart_file,
    default=None,
    metavar="FILE",
    help="Draw the settings: the first measure along x, the second along y (PNG, SVG, PDF).",
)
@click.option("--log", is_flag=True, help="A logarithmic axis for the first measure of the chart.")
@click.option(
    "--better",
    multiple=True,
    metavar="MEASURE=lower|higher",
    help="Which way a measure is better, where that is not known; may be repeated.",
)
@advice_option
@allow_modules
def command(
    folder: Path,
    measures: tuple[str, ...],
    chart: Path | None,
    log: bool,
    better: tuple[str, ...],
    advice: bool,
    allow: tuple[str, ...],
) -> None:
    """Say which settings of the sweep or comparison saved in FOLDER no other one surely beats in all MEASURES.

    A setting is dominated only where the intervals over seeds do not overlap; more seeds may decide what is open.
    """
    from sim.analysis.plots import save
    from sim.analysis.tables import render

    if log and chart is None:
        raise click.UsageError("--log has no effect without --chart")
    results = _settings(folder, allow)
    directions = dict(_direction(text, measures) for text in better)
    found = results.frontier(*measures, better=directions)
    click.echo(render(found.drop(columns=[name for name in results.distinguished_by if name in found])))
    if advice:
        print_advice(results, *measures)
    if chart is not None:
        save(results.plot.frontier(*measures, better=directions, log=log), chart)
        click.echo(f"chart: {chart}")


def _settings(folder: Path, allow: tuple[str, ...]) -> Comparison | Sweep:
    from sim.lab.run import Run
    from sim.lab.saved import load

    found = load(folder, allow=allow)
    if isinstance(found, Run):
        raise click.UsageError(f"{str(folder)!r} holds one run; a frontier needs a sweep or a comparison")
    return found


def _direction(text: str, measures: tuple[str, ...]) -> tuple[str, Better]:
    name, _, way = text.partition("=")
    if way == "lower" or way == "higher":
        if name not in measures:
            raise click.UsageError(f"--better {text} has no effect: {name!r} is none of the measures")
        return name, "lower" if way == "lower" else "higher"
    raise click.UsageError(f"--better takes MEASURE=lower or MEASURE=higher, not {text!r}")
