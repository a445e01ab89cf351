"""`sim view`: a log of messages as a page to step through."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.output import page_option

__all__ = ["command"]


@click.command("view", epilog="Examples: sim view log.jsonl; sim view store/latest/jepsen.log -o echo.html")
@click.argument("log", type=click.Path(path_type=Path))
@page_option("The HTML file to write; default: the name of the log, with .html, in this folder.")
def command(log: Path, file: Path | None) -> None:
    """Draw a LOG of messages, also of another system, as a space-time page in one HTML file.

    LOG has an object of JSON a line, as docs/report.md describes, or is Maelstrom's log (--log-net-send
    --log-net-recv).
    """
    from sim.lab.report.log import log_report
    from sim.readers.message_log import read_message_log

    if log.is_dir():
        raise click.UsageError(f"{str(log)!r} is a folder; a saved run is drawn by: sim report {log}")
    found = read_message_log(log)
    target = file if file is not None else Path(f"{log.stem}.html")
    log_report(found, target, title=log.name)
    click.echo(f"{len(found.messages):,} messages, {len(found.events):,} events")
    if found.left_out:
        click.echo(f"{found.left_out:,} lines of the log are no messages, and left out")
    click.echo(f"page: {target}")
