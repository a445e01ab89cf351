"""A primary fails over: what sync, semi-sync and async replication lose, and what they cost.

The same crash under the same load. Sync waits for every backup, semi-sync for the fastest one. With a fallback,
semi-sync stops waiting after a while, and says so in its replies. Async waits for no backup. For half a second before
the crash the primary cannot reach its backups, as often happens at the beginning of a failure.
"""

from pathlib import Path

from sim import Scenario, compare
from sim.analysis.plots import save
from sim.cluster import CLOUD_MACHINE
from sim.faults import Crash, Cut
from sim.lab.story import main
from sim.network import wan
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop, UniformKeys

scenario = Scenario(
    system=PrimaryBackup(nodes=3),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=OpenLoop(clients=3, rate=100.0, keys=UniformKeys(500), reads=0.2),
    faults=[
        Cut("n0", "n1", at=7.5),
        Cut("n0", "n2", at=7.5),
        Crash("n0", at=8.0),
    ],
    duration=12.0,
    machines=CLOUD_MACHINE,
    leader="virginia",
)

systems = [
    PrimaryBackup(nodes=3, mode="sync"),
    PrimaryBackup(nodes=3, mode="semi-sync", acks=1),
    PrimaryBackup(nodes=3, mode="semi-sync", acks=2, fallback=0.2),
    PrimaryBackup(nodes=3, mode="async"),
]

SEEDS = 5

SHORT = {"SEEDS": 1}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Compare the modes under several seeds."""
    comparison = compare(systems, scenario, seeds=range(seed, seed + SEEDS), progress=None)
    comparison.save(folder)
    save(comparison.plot.timeline(), folder / "timeline.png")
    save(comparison.plot.bars("acknowledged_lost"), folder / "acknowledged_lost.png")
    print(comparison.text())
    measures = ["acknowledged_lost", "acknowledged_unreplicated", "p50"]
    means = comparison.summaries.groupby("run")[measures].mean()
    sync, semi, fallback, asynchronous = (means.loc[comparison.label_of(system)] for system in systems)
    return (
        f"Lost per crash: sync {sync['acknowledged_lost']:.1f}, semi-sync {semi['acknowledged_lost']:.1f}, with a "
        f"fallback {fallback['acknowledged_lost']:.1f} of the {fallback['acknowledged_unreplicated']:.1f} it flagged, "
        f"async {asynchronous['acknowledged_lost']:.1f} with {asynchronous['acknowledged_unreplicated']:.1f} flagged.\n"
        f"For that, half of all operations take up to {1e3 * sync['p50']:.0f} ms with sync, "
        f"{1e3 * semi['p50']:.0f} ms with semi-sync, {1e3 * asynchronous['p50']:.0f} ms with async."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
