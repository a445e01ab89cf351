"""`sim init`: a scenario file to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.changes import Changes, changes
from sim.commands.inputs import parse_system
from sim.commands.output import new_file

__all__ = ["command"]


@click.command("init", epilog="Example: sim init mine.toml && sim describe mine.toml && sim run mine.toml")
@click.argument(
    "file", type=click.Path(path_type=Path), callback=new_file(".toml"), default=Path("scenario.toml")
)
@click.option(
    "--system", "text", metavar="SYSTEM", default=None, help="The system; default: 'Raft(nodes=3)'."
)
@changes
def command(file: Path, text: str | None, changes: Changes) -> None:
    """Write a scenario with comments to FILE (.toml; default: scenario.toml), and overwrite nothing.

    The file has every field, with its meaning, its unit and its default, and runs as it is. What the options bring
    stands in it: measured latencies as a table, a trace by its path.
    """
    from sim.lab.begin import first_file, first_scenario

    scenario = first_scenario(None if text is None else parse_system(text))
    first = {"name": ""} if changes.network is not None or changes.faults else {}
    written = first_file(changes.applied(scenario, first=first))
    with file.open("x", encoding="utf-8") as out:
        out.write(written)
    click.echo(f"{file}\nnext: sim describe {file}, then sim run {file}")
