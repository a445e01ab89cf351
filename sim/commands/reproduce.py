"""`sim reproduce`: whether a figure, a saved folder or a paper comes out again."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import allow_modules

__all__ = ["command"]


@click.command("reproduce", epilog="Example: sim reproduce results/compare/latency_cdf.png")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@allow_modules
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one a core.")
@click.pass_context
def command(context: click.Context, file: Path, allow: tuple[str, ...], workers: int | None) -> None:
    """Run again what FILE states: a picture (PNG, SVG, PDF), a saved folder, or a paper.toml.

    Says of each figure whether it is identical (the same runs, bit for bit), consistent (other versions or another
    processor, every measure within the interval stated), or different, and then which run and which measure. Exit code
    1: something is different.
    """
    from sim.lab.reproduce import reproduce

    answers = reproduce(file, allow=allow, workers=workers)
    for answer in answers:
        click.echo(answer)
    context.exit(1 if any(answer.status == "different" for answer in answers) else 0)
