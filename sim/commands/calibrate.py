"""`sim calibrate`: fit the machines of a scenario to a measured throughput-latency curve."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.changes import Changes, changes
from sim.commands.inputs import allow_modules, load_scenario
from sim.commands.output import new_file

__all__ = ["command"]


def _scenario_file(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """The file of ``--out``, refused before the work begins: another suffix, a file that exists, no such folder."""
    return None if file is None else new_file(".toml")(context, option, file)


@click.command(
    "calibrate",
    epilog="Example: sim calibrate story.py --measured curve.csv --out calibrated.toml. Exit code 1: the model cannot "
    "explain the measurements.",
)
@click.argument("script", metavar="SCENARIO")
@click.option(
    "--measured",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The curve (CSV): offered, throughput or clients; p50_ms, p99_ms ...; bytes.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME",
    help="Fit this: per_message, fsync, per_byte; default: what the curve may tell.",
)
@click.option("--seeds", type=int, default=3, show_default=True, help="Seeds for each point, at least 2.")
@changes
@allow_modules
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_scenario_file,
    default=None,
    metavar="FILE",
    help="Write the scenario with the fitted machines (TOML).",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    script: str,
    measured: Path,
    parameters: tuple[str, ...],
    seeds: int,
    changes: Changes,
    allow: tuple[str, ...],
    out: Path | None,
) -> None:
    """Fit the machines of SCENARIO (a script, TOML or JSON) to a measured throughput-latency curve."""
    from sim.lab import calibrate

    scenario = changes.applied(load_scenario(script, allow))
    found = calibrate(measured, scenario, parameters=parameters or None, seeds=seeds)
    click.echo(found.text())
    if out is not None:
        out.write_text(found.scenario.to_toml(), encoding="utf-8")
        click.echo(f"scenario with these machines: {out}")
    context.exit(0 if found.explained else 1)
