"""`sim run`: run a scenario script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.commands.changes import Changes, changes
from sim.commands.inputs import (
    allow_modules,
    find_script,
    is_written,
    load_script,
    load_written,
    place_of,
    refuse_allowed,
    scenario_of,
)
from sim.commands.output import out_folder, prepare
from sim.commands.tracing import MENU, tracing_of

if TYPE_CHECKING:
    from sim.cluster import Tracing
    from sim.lab import Scenario

__all__ = ["command"]

_Found = tuple["Scenario", Any, str | None]


@click.command("run", epilog="Example: sim run scenarios/raft_failover.py --seed 7 --set duration=60")
@click.argument("script")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=None,
    help="Seed of the run; default: that of the file, or 1.",
)
@changes
@out_folder("Folder for charts and frames.")
@allow_modules
@click.option("--check/--no-check", default=None, help="Ask the invariants after every event.")
@click.option(
    "--trace",
    metavar=MENU,
    callback=tracing_of,
    default=None,
    help="Record each message; full: each step of a node and its state, too; SHARE: a sample, such as 0.01.",
)
@click.option(
    "--story",
    "tells",
    is_flag=True,
    help="Print what happens, one line an event, instead of the conclusion; frames only with --out.",
)
def command(
    script: str,
    seed: int | None,
    changes: Changes,
    out: Path | None,
    allow: tuple[str, ...],
    check: bool | None,
    trace: Tracing | None,
    tells: bool,
) -> None:
    """Run a scenario SCRIPT: a path, the name of one in scenarios/, or a scenario in TOML or JSON.

    Prints the script's conclusion, and writes its charts and frames to --out (default results/NAME).
    """
    from sim.lab.story import tell_default, told

    if is_written(script):
        scenario, named = load_written(script, allow)
        story: _Found = (scenario, tell_default, scenario.name)
    else:
        refuse_allowed(script, allow)
        story, named = _story(script), None
    scenario, tell, text = story
    chosen: Scenario = changes.applied(scenario)
    if check is not None:
        chosen = chosen.vary("check", check)
    if tells and trace not in (None, "full"):
        less = "messages" if trace is True else f"{trace:g}"
        raise click.UsageError(f"--story needs each step of a node: --trace {less} records less")
    if trace is not None or tells:
        chosen = chosen.vary("trace", "full" if trace is None else trace)
    if seed is None:
        seed = 1 if named is None else named
    if tells:
        _tell_story(chosen, seed, out)
        return
    folder = prepare(out or Path("results") / Path(script).stem)
    try:
        click.echo(told(tell, chosen, seed, folder, text))
    except Exception as error:
        error.add_note(
            f"in {script}{place_of(error, Path(script) if is_written(script) else find_script(script))}"
        )
        raise
    click.echo(f"charts and frames: {folder}")


def _tell_story(scenario: Scenario, seed: int, out: Path | None) -> None:
    run = scenario.run(seed)
    click.echo(run.story())
    if out is not None:
        run.save(prepare(out))
        click.echo(f"frames: {out}")


def _story(script: str) -> _Found:
    """The scenario of a script, its function ``tell`` (or the default one), and its docstring."""
    from sim.lab.story import tell_default

    module = load_script(script)
    return scenario_of(module, script), getattr(module, "tell", None) or tell_default, module.__doc__
