"""Which consensus is quickest where: five protocols on five measured regions, led from Virginia and from Tokyo.

With a leader (Multi-Paxos, Raft, Viewstamped Replication) the latency of a region is its way to the leader and the
leader's way to a majority; it is the same for the three protocols. With EPaxos it is the region's own way to a fast
quorum. Mencius lets every region lead its own slots. But a slot is executed only when all slots before it are known,
so every region must hear from all others.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Comparison, Scenario, compare_scenarios
from sim.analysis.plots import save
from sim.lab.story import main
from sim.network import wan
from sim.protocols import EPaxos, Mencius, MultiPaxos, Raft, ViewstampedReplication
from sim.workload import OpenLoop, UniformKeys

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland")
LED_FROM = ("virginia", "tokyo")
LED = {
    "Multi-Paxos": MultiPaxos(nodes=5),
    "Raft": Raft(nodes=5),
    "Viewstamped Replication": ViewstampedReplication(nodes=5),
}
LEADERLESS = {"EPaxos": EPaxos(nodes=5), "Mencius": Mencius(nodes=5)}

scenario = Scenario(
    system=MultiPaxos(nodes=5),
    network=wan(*REGIONS, transport="stream"),
    workload=OpenLoop(clients=10, rate=40.0, keys=UniformKeys(10_000), reads=0.0),
    duration=12.0,
    warmup=1.0,
)

SHORT = {"duration": 1.5}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run protocols with a leader once for each place of the leader, the others once."""
    cases = {
        f"{name} led from {place}": dataclasses.replace(scenario, system=system, leader=place)
        for place in LED_FROM
        for name, system in LED.items()
    }
    cases |= {name: dataclasses.replace(scenario, system=system) for name, system in LEADERLESS.items()}
    comparison = compare_scenarios(cases, seeds=range(seed, seed + 2), progress=None)
    comparison.save(folder)
    save(draw(comparison), folder / "median_by_region.png")
    medians = 1e3 * comparison.by_region().groupby(["region", "run"])["p50"].mean().unstack("run")
    panels = {
        place: medians[list(shown(place))].rename(columns=shown(place)).loc[list(REGIONS)]
        for place in LED_FROM
    }
    return "\n".join(_told(panel, place) for place, panel in panels.items())


def shown(place: str) -> dict[str, str]:
    """The labels of what is drawn, and its names: protocols with a leader led from ``place``, and those without."""
    return {f"{name} led from {place}": name for name in LED} | {name: name for name in LEADERLESS}


def _told(panel: pd.DataFrame, place: str) -> str:
    quickest = panel.idxmin(axis=1)
    led = [region for region in REGIONS if quickest[region] in LED]
    means = panel.mean().sort_values()
    return (
        f"Led from {place.title()}, a protocol with a leader is quickest for {', '.join(led) or 'no region'}, "
        f"{quickest[[r for r in REGIONS if r not in led]].mode().iloc[0]} for the others; means over regions: "
        f"{', '.join(f'{name} {mean:.0f} ms' for name, mean in means.items())}."
    )


def draw(comparison: Comparison) -> object:
    """A panel for each place of the leader, on one scale."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(
        len(LED_FROM), 1, sharex=True, sharey=True, figsize=(10.5, 6.8), layout="constrained"
    )
    for ax, place in zip(axes, LED_FROM, strict=True):
        comparison.plot.by_region("p50", systems=shown(place), ax=ax)
        ax.set_title(f"leaders in {place.title()}", loc="left", fontsize=10)
        ax.get_legend().remove()
    handles, names = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
    return axes[0]


if __name__ == "__main__":
    main(__file__, scenario, tell)
