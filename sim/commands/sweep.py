"""`sim sweep`: a scenario with fields varied."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import allow_modules, apply_settings, load_scenario, parse_variation, seed_range
from sim.commands.output import prepare, writable

__all__ = ["command"]


@click.command("sweep", epilog="Example: sim sweep scenarios/raft_failover.py --vary system.nodes=3,5,7")
@click.argument("script")
@click.option(
    "--vary", "varied", multiple=True, required=True, metavar="FIELD=A,B,C", help="Values of a field."
)
@click.option("--seeds", type=int, default=3, show_default=True, help="How many seeds.")
@click.option("--first-seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Change a field of the scenario."
)
@allow_modules
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one a core.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=writable,
    default=Path("results/sweep"),
    show_default=True,
)
def command(
    script: str,
    varied: tuple[str, ...],
    seeds: int,
    first_seed: int,
    settings: tuple[str, ...],
    allow: tuple[str, ...],
    workers: int | None,
    out: Path,
) -> None:
    """Run the scenario of SCRIPT for every combination of the varied values, and every seed."""
    from sim.lab import sweep

    fields = [parse_variation(text) for text in varied]
    scenario = apply_settings(load_scenario(script, allow), settings, [name for name, _ in fields])
    prepare(out)
    done = sweep(scenario, dict(fields), seeds=seed_range(seeds, first_seed), workers=workers)
    click.echo(done.text())
    done.save(out)
    click.echo(f"frames: {out}")
