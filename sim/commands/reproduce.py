"""`sim reproduce`: run again what a figure, a saved folder or a paper states, and compare."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import allow_modules, processes

__all__ = ["command"]


@click.command("reproduce", epilog="Example: sim reproduce results/compare/latency_cdf.png")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@allow_modules
@processes
@click.option("--draw", is_flag=True, help="Draw the figures of a paper.toml into their files, instead.")
@click.pass_context
def command(
    context: click.Context, file: Path, allow: tuple[str, ...], workers: int | None, draw: bool
) -> None:
    """Run again what FILE states: a picture (PNG, SVG, PDF), a saved folder, or a paper.toml.

    Says of each figure whether it is identical (the same runs, bit for bit), consistent (other versions or another
    processor, every measure within the interval stated), or different, and then which run and which measure. Exit code
    1: something is different.
    """
    from sim.lab.reproduce import reproduce

    if file.suffix == ".toml" and allow:
        raise click.UsageError(f"--allow-module {allow[0]} has no effect: a paper names its modules itself")
    if draw:
        _draw(file, workers)
        return
    answers = reproduce(file, allow=allow, workers=workers)
    for answer in answers:
        click.echo(answer)
    context.exit(1 if any(answer.status == "different" for answer in answers) else 0)


def _draw(file: Path, workers: int | None) -> None:
    from sim.lab.reproduce.paper import read_paper

    if file.suffix != ".toml":
        raise click.UsageError(f"--draw draws the figures of a paper.toml, and {str(file)!r} is none")
    for path in read_paper(file).draw(workers=workers):
        click.echo(path)
