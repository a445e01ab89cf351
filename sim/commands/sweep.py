"""`sim sweep`: a scenario with fields varied."""

from __future__ import annotations

from typing import Any

import click

from sim.commands.advice import advice_option, print_advice
from sim.commands.changes import Changes, changes
from sim.commands.inputs import (
    allow_modules,
    first_seeds,
    load_scenario,
    parse_precision,
    parse_variation,
    precisions,
    seed_range,
)
from sim.commands.work import work_of, work_options

__all__ = ["command"]


@click.command("sweep", epilog="Example: sim sweep scenarios/raft_failover.py --vary system.nodes=3,5,7")
@click.argument("script")
@click.option(
    "--vary",
    "varied",
    multiple=True,
    required=True,
    metavar="FIELD=A,B,C",
    help="Values of a field, such as system.nodes=3,5,7; of several fields: every combination.",
)
@click.option("--seeds", type=int, default=None, help="How many seeds; default: 3, or 20 with --precision.")
@click.option("--first-seed", type=int, default=0, show_default=True, help="The first seed.")
@changes
@click.option("--frames", is_flag=True, help="Keep operations, events and the other frames of each run, too.")
@advice_option
@precisions
@allow_modules
@work_options
@click.pass_context
def command(
    context: click.Context,
    /,
    script: str,
    varied: tuple[str, ...],
    seeds: int | None,
    first_seed: int,
    changes: Changes,
    frames: bool,
    advice: bool,
    precision: tuple[str, ...],
    max_seeds: int | None,
    allow: tuple[str, ...],
    **options: Any,
) -> None:
    """Run the scenario of SCRIPT for every combination of the varied values, and every seed.

    Each run stands in FOLDER/results.sqlite as soon as it has finished; --resume goes on from there. Exit code 1: some
    runs failed (a row of the table says which).
    """
    from sim.lab import sweep
    from sim.lab.stages import aim

    fields = [parse_variation(text) for text in varied]
    scenario = changes.applied(load_scenario(script, allow), [name for name, _ in fields])
    wanted = parse_precision(precision)
    aim(wanted, max_seeds, scenario.own_measures)
    chosen_seeds = seed_range(first_seeds(seeds, 3, wanted, max_seeds), first_seed)
    with work_of("sweep", frames=frames, **options) as (work, out):
        done = sweep(
            scenario, dict(fields), seeds=chosen_seeds, precision=wanted, max_seeds=max_seeds, **work
        )
    click.echo(done.text())
    if advice:
        print_advice(done)
    done.save(out)
    click.echo(f"results: {out}")
    context.exit(1 if done.failed else 0)
