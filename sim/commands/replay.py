"""`sim replay`: play a replay file again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.inputs import allow_modules
from sim.commands.output import chart_file

if TYPE_CHECKING:
    from sim.lab.fuzz import Replay

__all__ = ["command", "where_it_shows"]

_EXIT = {"same": 1, "nothing": 0, "other": 3, "not as written": 3}
_NOT_PLAYABLE = 3


def where_it_shows(replay: Replay) -> list[str]:
    """For a mistake of the zoo: the first step in which it does something else than the correct system."""
    from sim.lab.fuzz.deviation import first_deviation
    from sim.zoo import Mutated
    from sim.zoo.bug import without_mistake

    system = replay.scenario.system
    if not isinstance(system, Mutated):
        return []
    return first_deviation(replay.scenario, without_mistake(system), replay.seed)


@click.command("replay", epilog="Example: sim replay results/fuzz/1.json --story")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--story", is_flag=True, help="Print what happens, one line an event.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    callback=chart_file,
    default=None,
    metavar="CHART",
    help="Write a space-time diagram of it to this file.",
)
@allow_modules
@click.pass_context
def command(
    context: click.Context, file: Path, story: bool, plot: Path | None, allow: tuple[str, ...]
) -> None:
    """Play the schedule of a replay FILE, which `sim fuzz` wrote, and say what breaks.

    Exit code 1: the same invariant breaks; 0: nothing breaks; 3: something else breaks, or it cannot be played as
    written, also where the trigger of a fault is not reached any more; 2: there is no readable replay file.
    """
    from sim.lab.fuzz.replaying import NotPlayable, load_replay, picture_of, story_of

    try:
        replay = load_replay(file, allow=allow)
        found = replay.play()
    except NotPlayable as error:
        click.echo(f"sim: {' '.join(str(error).split())}", err=True)
        context.exit(_NOT_PLAYABLE)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise click.UsageError(f"{file}: {error}") from error
    if story or plot is not None:
        text, run = story_of(replay.scenario, replay.seed)
        if story:
            click.echo(text)
        if plot is not None:
            from sim.analysis.plots import save

            save(picture_of(run), plot)
    click.echo(found.text())
    for line in where_it_shows(replay):
        click.echo(line)
    context.exit(_EXIT[found.outcome])
