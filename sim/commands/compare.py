"""`sim compare`: several systems in one scenario."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.inputs import (
    allow_modules,
    apply_settings,
    load_scenario,
    parse_system,
    refuse_allowed,
    seed_range,
)
from sim.commands.output import prepare, writable

if TYPE_CHECKING:
    from sim.lab import Scenario

__all__ = ["command"]


@click.command("compare", epilog="Example: sim compare Raft \"PrimaryBackup(mode='async')\" --seeds 5")
@click.argument("systems", nargs=-1, required=True)
@click.option(
    "--scenario",
    "script",
    default=None,
    help="Script, TOML or JSON; default: five measured regions.",
)
@click.option("--seeds", type=int, default=5, show_default=True, help="How many seeds.")
@click.option("--first-seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Change a field of the scenario."
)
@click.option(
    "--baseline",
    metavar="SYSTEM",
    default=None,
    help="Print how many times that of this system each measure is.",
)
@allow_modules
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one a core.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=writable,
    default=Path("results/compare"),
    show_default=True,
)
def command(
    systems: tuple[str, ...],
    script: str | None,
    seeds: int,
    first_seed: int,
    settings: tuple[str, ...],
    baseline: str | None,
    allow: tuple[str, ...],
    workers: int | None,
    out: Path,
) -> None:
    """Run SYSTEMS (Raft, 'Raft(nodes=3)', package.module:Name) in one scenario, under the same seeds."""
    from sim.analysis.plots import save
    from sim.analysis.tables import ratio_lines
    from sim.lab import compare
    from sim.lab.labels import same

    chosen = [parse_system(text) for text in systems]
    against = None if baseline is None else parse_system(baseline)
    if against is not None and not any(same(against, system) for system in chosen):
        raise click.UsageError(f"--baseline {baseline} is none of the systems compared: {', '.join(systems)}")
    scenario = _default(allow) if script is None else load_scenario(script, allow)
    scenario = apply_settings(scenario, settings)
    prepare(out)
    comparison = compare(
        chosen,
        scenario,
        seeds=seed_range(seeds, first_seed),
        workers=workers,
    )
    click.echo(comparison.text())
    if against is not None:
        click.echo(f"\n{ratio_lines(comparison.ratio(against))}")
    comparison.save(out)
    save(comparison.plot.latency_cdf(), out / "latency_cdf.png")
    save(comparison.plot.latency_percentiles(), out / "latency_percentiles.png")
    click.echo(f"charts and frames: {out}")


def _default(allow: tuple[str, ...]) -> Scenario:
    from sim.lab.demo import failover_scenario

    refuse_allowed("the scenario by default", allow)
    return failover_scenario()
