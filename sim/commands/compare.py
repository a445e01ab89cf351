"""`sim compare`: several systems in one scenario."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.commands.inputs import (
    allow_modules,
    apply_settings,
    first_seeds,
    load_scenario,
    network_file,
    parse_precision,
    parse_system,
    precisions,
    refuse_allowed,
    seed_range,
    settings_option,
)
from sim.commands.work import work_of, work_options

if TYPE_CHECKING:
    from sim.lab import Scenario
    from sim.system import System

__all__ = ["command"]


@click.command("compare", epilog="Example: sim compare Raft \"PrimaryBackup(mode='async')\" --seeds 5")
@click.argument("systems", nargs=-1, required=True)
@click.option(
    "--scenario",
    "script",
    default=None,
    help="Script, TOML or JSON; default: five measured regions.",
)
@click.option("--seeds", type=int, default=None, help="How many seeds; default: 5, or 20 with --precision.")
@click.option("--first-seed", type=int, default=0, show_default=True, help="The first seed.")
@settings_option
@click.option(
    "--baseline",
    metavar="SYSTEM",
    default=None,
    help="Print how many times that of this system each measure is.",
)
@precisions
@network_file
@allow_modules
@work_options
@click.pass_context
def command(
    context: click.Context,
    /,
    systems: tuple[str, ...],
    script: str | None,
    seeds: int | None,
    first_seed: int,
    settings: tuple[str, ...],
    network: Path | None,
    baseline: str | None,
    precision: tuple[str, ...],
    max_seeds: int | None,
    allow: tuple[str, ...],
    **options: Any,
) -> None:
    """Run SYSTEMS (Raft, 'Raft(nodes=3)', package.module:Name) in one scenario, under the same seeds.

    Each run stands in FOLDER/results.sqlite as soon as it has finished; --resume goes on from there. Exit code 1: some
    runs failed (a row of the table says which).
    """
    from sim.analysis.plots import save
    from sim.analysis.tables import ratio_lines
    from sim.lab import compare
    from sim.lab.labels import same
    from sim.lab.stages import aim

    chosen = [parse_system(text) for text in systems]
    against = None if baseline is None else parse_system(baseline)
    if against is not None and not any(same(against, system) for system in chosen):
        raise click.UsageError(f"--baseline {baseline} is none of the systems compared: {', '.join(systems)}")
    scenario = _default(chosen, allow) if script is None else load_scenario(script, allow)
    scenario = apply_settings(scenario, settings, network=network)
    wanted = parse_precision(precision)
    aim(wanted, max_seeds)
    chosen_seeds = seed_range(first_seeds(seeds, 5, wanted, max_seeds), first_seed)
    with work_of("compare", **options) as (work, out):
        comparison = compare(
            chosen, scenario, seeds=chosen_seeds, precision=wanted, max_seeds=max_seeds, **work
        )
    click.echo(comparison.text())
    if against is not None:
        click.echo(f"\n{ratio_lines(comparison.ratio(against))}")
    comparison.save(out)
    save(comparison.plot.latency_cdf(), out / "latency_cdf.png")
    save(comparison.plot.latency_percentiles(), out / "latency_percentiles.png")
    click.echo(f"charts and frames: {out}")
    context.exit(1 if comparison.failed else 0)


def _default(systems: Sequence[System], allow: tuple[str, ...]) -> Scenario:
    from sim.lab.demo import failover_scenario

    refuse_allowed("the scenario by default", allow)
    scenario = failover_scenario()
    try:
        scenario.vary("system", systems[0])
    except ValueError:  # another application has operations of its own, and draws its own keys
        return scenario.vary_all({"workload__reads": None, "workload__keys": None})
    return scenario
