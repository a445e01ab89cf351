"""`sim run`: run a scenario script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.inputs import apply_settings, find_script, load_script, place_of
from sim.commands.output import prepare, writable

if TYPE_CHECKING:
    from sim.lab import Scenario

__all__ = ["command"]


@click.command("run", epilog="Example: sim run scenarios/raft_failover.py --seed 7 --set duration=60")
@click.argument("script")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the run.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Change a field of the scenario."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=writable,
    default=None,
    help="Folder for charts and frames.",
)
@click.option("--check/--no-check", default=None, help="Ask the invariants after every event.")
def command(script: str, seed: int, settings: tuple[str, ...], out: Path | None, check: bool | None) -> None:
    """Run a scenario SCRIPT (a path, or the name of one in scenarios/).

    Prints the script's conclusion, and writes its charts and frames to --out (default results/NAME).
    """
    from sim.lab import Scenario
    from sim.lab.story import tell_default, told

    module = load_script(script)
    scenario = getattr(module, "scenario", None)
    if not isinstance(scenario, Scenario):
        raise click.UsageError(
            f"{script} defines no scenario (a module-level name `scenario`, a sim.Scenario)"
        )
    chosen: Scenario = apply_settings(scenario, settings)
    if check is not None:
        chosen = chosen.vary("check", check)
    folder = prepare(out or Path("results") / Path(script).stem)
    tell = getattr(module, "tell", None) or tell_default
    try:
        click.echo(told(tell, chosen, seed, folder, module.__doc__))
    except Exception as error:
        error.add_note(f"in {script}{place_of(error, find_script(script))}")
        raise
    click.echo(f"charts and frames: {folder}")
