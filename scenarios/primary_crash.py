"""The primary crashes: what sync and async replication lose.

Asynchronous replication acknowledges before a backup has the write; when the primary dies at that moment, the
write is gone although its client was told that it happened. How many are lost is counted, not hidden.
"""

from pathlib import Path

from sim import Scenario, compare
from sim.analysis.plots import save
from sim.cluster import CLOUD_HOST
from sim.faults import Crash
from sim.lab.story import main
from sim.network import wan
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop, Uniform

scenario = Scenario(
    system=PrimaryBackup(nodes=3),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=OpenLoop(clients=3, rate=200.0, keys=Uniform(500), reads=0.2),
    faults=[Crash("primary", at=5.0)],
    duration=20.0,
    hosts=CLOUD_HOST,
    leader="virginia",
)

systems = [PrimaryBackup(nodes=3, mode="sync"), PrimaryBackup(nodes=3, mode="async")]


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Compare both modes under ten seeds."""
    comparison = compare(systems, scenario, seeds=range(seed, seed + 10), progress=None)
    comparison.save(folder)
    save(comparison.plot.timeline(), folder / "timeline.png")
    save(comparison.plot.bars("acknowledged_lost"), folder / "acknowledged_lost.png")
    print(comparison.text())
    means = comparison.summaries.groupby("run")[["acknowledged_lost", "p50", "unavailability"]].mean()
    sync, asynchronous = (means.loc[comparison.label_of(system)] for system in systems)
    return (
        f"Async answers in {1e3 * asynchronous['p50']:.0f} ms at the median and loses "
        f"{asynchronous['acknowledged_lost']:.1f} acknowledged writes per crash.\n"
        f"Sync answers in {1e3 * sync['p50']:.0f} ms and loses {sync['acknowledged_lost']:.1f}; clients go without "
        f"service for about {sync['unavailability']:.1f} s and {asynchronous['unavailability']:.1f} s."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
