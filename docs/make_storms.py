"""Runs many storms of every system as it is, and counts what breaks: python docs/make_storms.py. Nothing may.

1,000 storms of 2 simulated seconds each, with default settings. Each run goes to a result store as it ends, so that a
measurement can be stopped and gone on with; runs of other sources of `sim` are made again. The counts go to
docs/storms.json, and from there to docs/zoo.md (`python docs/make_zoo.py`).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import click

import sim.protocols
from sim.lab import Storms, draw_storm, run_storms
from sim.lab.scenario import Scenario
from sim.lab.version import version
from sim.system import System

HOME = Path(__file__).resolve().parent
COUNTS = HOME / "storms.json"
STORE = HOME.parent / "results" / "nightly" / "storms"

STORMS = 1000
LENGTH = 2.0
"""Simulated seconds of a storm: 1,000 of each system take about an hour on two cores."""
SYSTEMS = tuple(
    name
    for name in sim.protocols.__all__
    if isinstance(found := getattr(sim.protocols, name), type) and issubclass(found, System)
)


def short(system: System, seed: int) -> Scenario:
    """The storm of a seed."""
    return draw_storm(system, seed, length=LENGTH)


def storms_of(name: str, storms: int = STORMS, *, store: Path = STORE, workers: int = 1) -> Storms:
    """The storms of a system: those that the store lacks are run."""
    system: System = getattr(sim.protocols, name)()
    return run_storms(
        system, seeds=storms, storm=short, out=store, resume=True, workers=workers, progress=None
    )


def counted(done: Storms) -> dict[str, int]:
    """How many storms there were, and how many broke something or gave no result."""
    return {
        "storms": len(done.runs) + len(done.failed),
        "broken": len(done.broken),
        "failed": len(done.failed),
    }


def read_counts(file: Path = COUNTS) -> dict[str, Any]:
    """The counts so far; of other sources of `sim`: none."""
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return kept if kept.get("sources") == version() else {"sources": version(), "systems": {}}


@click.command()
@click.option("--only", default=None, help="These systems, such as Raft,Craq; default: all.")
@click.option("--storms", default=STORMS, show_default=True, help="Storms of each system.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
def main(only: str | None, storms: int, workers: int) -> None:
    """Run what is missing, and write the counts."""
    chosen = SYSTEMS if only is None else tuple(only.split(","))
    unknown = [name for name in chosen if name not in SYSTEMS]
    if unknown:
        raise click.BadParameter(f"there is no {unknown[0]!r}", param_hint="--only")
    kept = read_counts()
    for name in chosen:
        done = storms_of(name, storms, workers=workers)
        kept["systems"][name] = counted(done)
        commit = ["git", "rev-parse", "--short", "HEAD"]
        kept["commit"] = subprocess.run(commit, cwd=HOME, capture_output=True, text=True).stdout.strip()
        COUNTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        click.echo(done.text())


if __name__ == "__main__":
    main()
