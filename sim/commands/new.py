"""`sim new`: folders to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.output import writable

__all__ = ["command"]


@click.command("new", epilog="Examples: sim new protocol my_store; sim new paper my-paper")
@click.argument("kind", type=click.Choice(["paper", "protocol"]))
@click.argument("folder", type=click.Path(path_type=Path), callback=writable)
def command(kind: str, folder: Path) -> None:
    """Write a FOLDER to begin with, and overwrite nothing.

    protocol: a package named as the folder, with node, system, invariants, tests (exact cost, storm, mutants) and a
    scenario; all green, with a mistake to make in README.md. paper: a protocol beside two baselines and three figures,
    made by `make`.
    """
    if kind == "protocol":
        from sim.lab.new_protocol import new_protocol

        made, then = new_protocol(folder), "pytest"
    else:
        from sim.lab.reproduce.new import new_paper

        made, then = new_paper(folder), "make figures && make reproduce"
    for path in made:
        click.echo(path)
    click.echo(f"next: cd {folder} && {then}")
