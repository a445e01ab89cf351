"""`sim demo`: the main job, ready to run."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.inputs import processes
from sim.commands.output import out_folder, prepare

__all__ = ["command"]


@click.command("demo", epilog="Example: sim demo --seeds 5 --out results/demo")
@click.option("--seeds", type=click.IntRange(min=2), default=10, show_default=True, help="How many seeds.")
@processes
@out_folder("Folder for charts and frames.", Path("results"))
def command(seeds: int, workers: int | None, out: Path) -> None:
    """Compare Raft, Multi-Paxos and primary-backup on five measured regions, then balancing policies.

    The leader crashes in the middle. Prints a table each, and writes charts and frames to --out.
    """
    from sim.engine import engine_in_words
    from sim.lab.demo import demo

    click.echo(engine_in_words())
    demo(prepare(out), seeds=seeds, workers=workers, say=click.echo)
