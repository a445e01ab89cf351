"""`sim results`: how far a sweep, a comparison or a set of storms is, and its runs as a file for other programs."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command("results", epilog="Example: sim results results/sweep --to runs.parquet")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a row for each run to this .csv or .parquet file.",
)
def command(folder: Path, files: tuple[Path, ...]) -> None:
    """Say how far the runs in FOLDER are (results.sqlite), and which failed."""
    from sim.lab.store import export, progress, results

    for grid in progress(folder):
        click.echo(grid)
    found = results(folder)
    for row in found[found["status"] == "failed"].to_dict("records") if len(found) else ():
        click.echo(f"FAILED: {row['run']}, seed {row['seed']}: {row['error']}")
    for file in files:
        click.echo(f"runs: {export(folder, file)}")
