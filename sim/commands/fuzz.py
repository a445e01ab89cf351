"""`sim fuzz`: look for a schedule in which something breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sim.commands.inputs import amount, parse_system
from sim.commands.replay import where_it_shows
from sim.commands.work import work_of, work_options

if TYPE_CHECKING:
    from sim.system import System

__all__ = ["command", "find", "fuzz_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--runs", type=click.IntRange(min=1), default=None, help="The most runs.  [default: 500]"),
    click.option(
        "--time",
        "seconds",
        type=amount,
        default=None,
        metavar="SECONDS",
        help="Real seconds after which no new round of runs begins.  [default: 60]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Other seeds draw other storms.",
    ),
    click.option("--keep-going", is_flag=True, help="Make all runs; each invariant that breaks is one find."),
)


def fuzz_options(command: _Command) -> _Command:
    """Give a command the options that `find` takes."""
    command = work_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def find(
    system: System,
    runs: int | None,
    seconds: float | None,
    seed: int,
    keep_going: bool = False,
    **options: Any,
) -> int:
    """Fuzz a system, save and print what was found; returns the exit code.

    If only one of ``runs`` and ``seconds`` is given, the other has no limit.
    """
    from sim.lab.fuzz.fuzzing import NO_LIMIT, RUNS, SECONDS, fuzz

    given = runs is not None or seconds is not None
    most_runs = runs if runs is not None else (NO_LIMIT if given else RUNS)
    most_seconds = seconds if seconds is not None else (float(NO_LIMIT) if given else SECONDS)
    with work_of("fuzz", **options) as (work, out):
        found = fuzz(system, runs=most_runs, seconds=most_seconds, seed=seed, keep_going=keep_going, **work)
    found.save(out)
    click.echo(found.text())
    for one in found.finds:
        for line in where_it_shows(one.replay):
            click.echo(line)
    click.echo(f"results: {out}")
    return 0 if found.ok else 1


@click.command("fuzz", epilog="Example: sim fuzz mypackage.protocol:MySystem --runs 1000 --time 300")
@click.argument("system")
@fuzz_options
@click.pass_context
def command(context: click.Context, /, system: str, **options: Any) -> None:
    """Run SYSTEM (Raft, 'Raft(nodes=3)', package.module:Name) in storms until something breaks, and shrink that.

    What is judged: invariants, errors in handlers, progress after the storm, acknowledged writes, the claimed
    consistency, and limits that the system declares. If only one of --runs and --time is given, the other has no limit.
    For each find, FOLDER gets a replay file (for `sim replay`), its story and a space-time diagram.

    Exit code 1: something broke, or runs failed; 0: nothing; 2: bad input.
    """
    context.exit(find(parse_system(system), **options))
