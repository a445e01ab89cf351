"""`sim fuzz`: look for a schedule in which something breaks."""

from __future__ import annotations

from typing import Any

import click

from sim.commands.inputs import parse_system
from sim.commands.work import work_of, work_options

__all__ = ["command"]


@click.command("fuzz", epilog="Example: sim fuzz mypackage.protocol:MySystem --runs 1000 --time 300")
@click.argument("system")
@click.option("--runs", type=click.IntRange(min=1), default=None, help="The most runs.  [default: 500]")
@click.option(
    "--time",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="SECONDS",
    help="Real seconds after which no new round of runs begins.  [default: 60]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Other seeds draw other storms.",
)
@work_options
@click.pass_context
def command(
    context: click.Context, /, system: str, runs: int | None, seconds: float | None, seed: int, **options: Any
) -> None:
    """Run SYSTEM (Raft, 'Raft(nodes=3)', package.module:Name) in storms until something breaks, and shrink that.

    What is judged: invariants, errors in handlers, progress after the storm, acknowledged writes, the claimed
    consistency, and limits that the system declares. If only one of --runs and --time is given, the other has no limit.
    For each find, FOLDER gets a replay file (for `sim replay`), its story and a space-time diagram.

    Exit code 1: something broke, or runs failed; 0: nothing; 2: bad input.
    """
    from sim.lab.fuzz.campaign import NO_LIMIT, RUNS, SECONDS, fuzz

    chosen = parse_system(system)
    given = runs is not None or seconds is not None
    most_runs = runs if runs is not None else (NO_LIMIT if given else RUNS)
    most_seconds = seconds if seconds is not None else (float(NO_LIMIT) if given else SECONDS)
    with work_of("fuzz", **options) as (work, out):
        found = fuzz(chosen, runs=most_runs, seconds=most_seconds, seed=seed, **work)
    found.save(out)
    click.echo(found.text())
    click.echo(f"results: {out}")
    context.exit(0 if found.ok else 1)
