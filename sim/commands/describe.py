"""`sim describe`: a scenario in plain sentences."""

from __future__ import annotations

import textwrap

import click

from sim.commands.changes import Changes, changes
from sim.commands.inputs import allow_modules, is_written, load_scenario, load_written

__all__ = ["command"]

_WIDTH = 100


@click.command("describe", epilog="Example: sim describe raft_failover --set system.nodes=3")
@click.argument("script", metavar="SCENARIO")
@changes
@allow_modules
def command(script: str, changes: Changes, allow: tuple[str, ...]) -> None:
    """Say in sentences what SCENARIO (a script, its name, a TOML or JSON file) will run, and what was derived.

    Nothing is run. The last sentence names the fields that are left at their defaults.
    """
    from sim.lab.described import sentences

    scenario, seed = (
        load_written(script, allow) if is_written(script) else (load_scenario(script, allow), None)
    )
    told = sentences(changes.applied(scenario), seed)
    click.echo("\n\n".join(textwrap.fill(text, _WIDTH, break_on_hyphens=False) for text in told))
