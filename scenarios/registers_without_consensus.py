"""Registers without consensus: ABD against Raft, by region, and when the leader's region is cut off.

Reads and writes of single keys need no agreement on an order of all commands. ABD's client asks a majority itself,
once for a read and twice for a write, from its own region. Raft's clients go to the leader, and the leader goes to a
majority. When Virginia, with the leader, is cut off, Raft's other regions wait for an election; ABD has no leader to
replace. ABD cannot serve operations that depend on the value that they replace: compare-and-set, increment, append.
"""

from pathlib import Path

import pandas as pd

from sim import Scenario, compare
from sim.analysis.outages import outages
from sim.analysis.plots import grouped_bars, save
from sim.faults import Partition
from sim.lab.story import main
from sim.network import wan
from sim.protocols import Abd, Raft
from sim.workload import OpenLoop, UniformKeys

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland")
CUT, LASTS = 4.0, 8.0
SEEDS = 3

scenario = Scenario(
    system=Raft(nodes=5),
    network=wan(*REGIONS, transport="stream"),
    workload=OpenLoop(clients=10, rate=50.0, keys=UniformKeys(1000), reads=0.5),
    faults=[Partition((("virginia",),), at=CUT, duration=LASTS)],
    duration=16.0,
    leader="virginia",
)

SHORT = {"duration": 8.0, "SEEDS": 1}

systems = {"Raft": Raft(nodes=5), "ABD": Abd(nodes=5)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Latency from operations called and answered before the cut; outages by region after it."""
    comparison = compare(list(systems.values()), scenario, seeds=range(seed, seed + SEEDS), progress=None)
    comparison.save(folder)
    print(comparison.text())
    names = {comparison.label_of(system): name for name, system in systems.items()}
    operations, events = (
        frame.assign(run=frame["run"].map(names)) for frame in (comparison.operations, comparison.events)
    )
    calm = operations[(operations["called"] > 0.5) & (operations["returned"] < CUT)]
    shown = calm.assign(kind=calm["kind"].map({"get": "reads", "put": "writes"}))
    medians: pd.DataFrame = (
        1e3
        * shown.groupby(["region", "run", "kind"])["latency"]
        .median()
        .unstack(["run", "kind"])
        .loc[list(REGIONS)]
    )
    gaps = _gaps(operations, events, scenario.duration)
    save(_draw(medians, gaps), folder / "by_region.png")
    save(comparison.plot.timeline(), folder / "timeline.png")
    means, others = medians.mean(), gaps.drop(index="virginia").max()
    return (
        f"Means of the regions' medians: Raft reads {means['Raft', 'reads']:.0f} ms, "
        f"writes {means['Raft', 'writes']:.0f} ms; ABD reads {means['ABD', 'reads']:.0f} ms, "
        f"writes {means['ABD', 'writes']:.0f} ms.\n"
        f"When the leader's region is cut off, the others wait for up to {others['Raft']:.1f} s with Raft and "
        f"{others['ABD']:.1f} s with ABD; the region itself waits {gaps.loc['virginia', 'Raft']:.1f} s and "
        f"{gaps.loc['virginia', 'ABD']:.1f} s."
    )


def _gaps(operations: pd.DataFrame, events: pd.DataFrame, duration: float) -> pd.DataFrame:
    """The longest time without an answer after the cut, in s: regions by systems, means over seeds."""
    rows = [
        (region, run, outages(part, _of(events, run, seed), duration=duration)["gap"].max())
        for (region, run, seed), part in operations.groupby(["region", "run", "seed"], sort=False)
    ]
    frame = pd.DataFrame(rows, columns=["region", "run", "outage"])
    return (
        frame.groupby(["region", "run"])["outage"].mean().unstack("run").loc[list(REGIONS), ["Raft", "ABD"]]
    )


def _of(events: pd.DataFrame, run: object, seed: object) -> pd.DataFrame:
    return events[(events["run"] == run) & (events["seed"] == seed)]


def _draw(medians: pd.DataFrame, gaps: pd.DataFrame) -> object:
    """Reads, writes and outages, a panel each."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(3, 1, sharex=True, figsize=(8.5, 7.5), layout="constrained")
    for ax, kind in zip(axes, ("reads", "writes"), strict=False):
        panel = medians.xs(kind, axis=1, level="kind")[["Raft", "ABD"]]
        grouped_bars(panel, f"median of {kind} (ms)", ax=ax)
    grouped_bars(gaps, "longest outage (s)", digits=1, ax=axes[2])
    axes[2].set_xlabel(f"region of the client; Virginia, with Raft's leader, is cut off for {LASTS:g} s")
    for ax in axes[1:]:
        ax.get_legend().remove()
    return axes[0]


if __name__ == "__main__":
    main(__file__, scenario, tell)
