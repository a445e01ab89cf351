"""`sim new`: folders to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.output import writable

__all__ = ["command"]


@click.command("new", epilog="Example: sim new paper my-paper")
@click.argument("kind", type=click.Choice(["paper"]))
@click.argument("folder", type=click.Path(path_type=Path), callback=writable)
def command(kind: str, folder: Path) -> None:
    """Write a FOLDER to begin with: for a paper, a protocol beside two baselines and three figures, made by `make`."""
    from sim.lab.reproduce.new import new_paper

    for path in new_paper(folder):
        click.echo(path)
    click.echo(f"next: cd {folder} && make figures && make reproduce")
