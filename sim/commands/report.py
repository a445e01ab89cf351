"""`sim report`: a result as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import allow_modules
from sim.commands.output import page_option

__all__ = ["command"]


@click.command(
    "report", epilog="Examples: sim report results/compare -o report.html; sim report results/fuzz/1.json"
)
@click.argument("source", type=click.Path(path_type=Path))
@page_option("The HTML file to write.", Path("report.html"))
@allow_modules
def command(source: Path, file: Path, allow: tuple[str, ...]) -> None:
    """Write the result in SOURCE as one HTML file, for readers without Python.

    SOURCE is a folder that `sim run`, `sim compare` or `sim sweep` saved, or a replay file of `sim fuzz`, which is
    played again. The file needs no network, and has at most 10 MB.
    """
    if source.is_dir():
        from sim.lab.saved import load

        load(source, allow=allow).report(file)
    elif source.suffix == ".json":
        _story(source, file, allow)
    elif source.exists():
        raise click.UsageError(
            f"{str(source)!r} is neither a folder of results nor a replay file (.json); a scenario is run first: "
            f"sim run {source} --trace full --out results/run, then sim report results/run"
        )
    else:
        raise click.UsageError(f"there is no {str(source)!r}: name a folder of results, or a replay file")
    click.echo(f"report: {file}")


def _story(source: Path, file: Path, allow: tuple[str, ...]) -> None:
    from sim.lab.fuzz.replaying import load_replay
    from sim.lab.report.story import story_report

    try:
        replay = load_replay(source, allow=allow)
    except OSError as error:
        raise click.UsageError(f"{source} cannot be read: {error.strerror or error}") from error
    story_report(replay, file)
