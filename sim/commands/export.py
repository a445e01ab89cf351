"""`sim export`: a saved run for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import allow_modules

__all__ = ["command"]


@click.command(
    "export", epilog="Examples: sim export results/run trace.pftrace; sim export results/run frames"
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@allow_modules
def command(folder: Path, file: Path, allow: tuple[str, ...]) -> None:
    """Write the run saved in FOLDER as FILE, whose ending says for which tool.

    \b
    .pftrace   Perfetto (ui.perfetto.dev)
    .shiviz    ShiViz, with vector clocks; needs a run with --trace full
    .jsonl     messages, steps and events, for `sim view`
    no ending  a folder: every frame as CSV, and as Parquet if pyarrow is installed
    """
    from sim.lab.export import checked_export
    from sim.lab.run import Run
    from sim.lab.saved import load

    checked_export(file)
    found = load(folder, allow=allow)
    if not isinstance(found, Run):
        raise click.UsageError(
            f"{str(folder)!r} holds several runs; an export is of one: save that run alone"
        )
    for path in found.export(file):
        click.echo(f"written: {path}")
