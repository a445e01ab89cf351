"""`sim compare`: several systems in one scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sim.commands.advice import advice_option, print_advice
from sim.commands.changes import Changes, changes
from sim.commands.inputs import (
    allow_modules,
    first_seeds,
    load_scenario,
    parse_precision,
    parse_system,
    precisions,
    refuse_allowed,
    seed_range,
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
    metavar="SCENARIO",
    help="Script, TOML or JSON; default: five measured regions.",
)
@click.option("--seeds", type=int, default=None, help="How many seeds; default: 5, or 20 with --precision.")
@click.option("--first-seed", type=int, default=0, show_default=True, help="The first seed.")
@changes
@click.option(
    "--baseline",
    metavar="SYSTEM",
    default=None,
    help="Print how many times that of this system each measure is.",
)
@advice_option
@precisions
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
    changes: Changes,
    baseline: str | None,
    advice: bool,
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
    if script is None:
        scenario = _default(chosen[0], changes, allow)
    else:
        scenario = changes.applied(load_scenario(script, allow))
    wanted = parse_precision(precision)
    aim(wanted, max_seeds, scenario.own_measures)
    chosen_seeds = seed_range(first_seeds(seeds, 5, wanted, max_seeds), first_seed)
    with work_of("compare", **options) as (work, out):
        comparison = compare(
            _named(systems, chosen),
            scenario,
            seeds=chosen_seeds,
            precision=wanted,
            max_seeds=max_seeds,
            **work,
        )
    click.echo(comparison.text())
    if against is not None:
        click.echo(f"\n{ratio_lines(comparison.ratio(against))}")
    if advice:
        print_advice(comparison)
    comparison.save(out)
    save(comparison.plot.latency_cdf(), out / "latency_cdf.png")
    save(comparison.plot.latency_percentiles(), out / "latency_percentiles.png")
    click.echo(f"charts and frames: {out}")
    context.exit(1 if comparison.failed else 0)


def _named(texts: Sequence[str], systems: Sequence[System]) -> Sequence[System] | dict[str, System]:
    """The systems; with names if one is written as a product, because its many settings would be its name."""
    from sim.lab.labels import describe

    if not any(".like(" in text for text in texts):
        return systems
    named = {
        text if ".like(" in text else describe(system): system
        for text, system in zip(texts, systems, strict=True)
    }
    return named if len(named) == len(systems) else systems


def _default(system: System, changes: Changes, allow: tuple[str, ...]) -> Scenario:
    """Five measured regions where the leader crashes, with the changes of the command line.

    ``system``: the first system that is compared. What the changes replace must fit it, such as the target of a fault.
    """
    from sim.lab.application_model import application_of
    from sim.lab.demo import failover_scenario

    refuse_allowed("the scenario by default", allow)
    scenario = failover_scenario()
    first: dict[str, Any] = {"system": system}
    if changes.network is not None:
        first["leader"] = None  # virginia is no place of another network
    if changes.network is not None or changes.faults:
        first["name"] = ""
    if changes.load is None:
        try:
            scenario.workload.suited_to(application_of(system))
        except ValueError:  # another application has operations of its own, and draws its own keys
            first |= {"workload__reads": None, "workload__keys": None}
    return changes.applied(scenario, first=first)
