"""`sim grade`: points for the submissions of a lab."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import DefaultOf, amount

__all__ = ["command"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("grade", epilog="Example: sim grade submissions/*.py --csv points.csv")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--storms",
    type=click.IntRange(1),
    cls=DefaultOf,
    home="sim.lab.grading.grading:STORMS",
    help="Storms for each submission.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first storm.")
@click.option(
    "--workers", type=click.IntRange(1), default=None, help="Submissions side by side; default: cores."
)
@click.option(
    "--timeout",
    type=amount,
    cls=DefaultOf,
    home="sim.lab.grading.grading:TIMEOUT",
    help="Seconds for each submission.",
)
@click.option(
    "--memory",
    type=amount,
    cls=DefaultOf,
    home="sim.lab.grading.grading:MEMORY",
    help="Megabytes for each submission.",
)
@click.option("--csv", "table", type=_FILE, help="Write a row for each claim to this file.")
def command(
    files: tuple[str, ...],
    storms: int,
    seed: int,
    workers: int | None,
    timeout: float,
    memory: float,
    table: Path | None,
) -> None:
    """Grade submissions of the Raft lab: points for each claim, and the story of each claim that breaks.

    Each submission runs in a process of its own, with limits of time and memory. That is no sandbox against malice: the
    code runs with your rights. The hand-out is in labs/raft. In a class, a file that is no Python gets no points;
    alone, it is bad input (exit code 2).

    \b
    Example:
      sim grade --csv points.csv submissions/*.py
    """
    from sim.lab.grading import grade, why_not_python

    for file in files:
        if not Path(file).is_file():
            raise click.BadParameter(f"there is no file {file!r}", param_hint="FILE")
    if len(files) == 1 and (complaint := why_not_python(files[0])):
        raise click.BadParameter(complaint, param_hint="FILE")
    rows: list[dict[str, object]] = []
    for graded in grade(files, storms=storms, seed=seed, workers=workers, timeout=timeout, memory=memory):
        click.echo(graded.text() + "\n")
        rows += graded.rows()
    if table is not None:
        import pandas as pd

        pd.DataFrame(rows).to_csv(table, index=False)
