"""Split brain: a primary behind a partition, with and without fencing.

Virginia, with the primary and some clients, is cut off from the rest for ten seconds. The view service promotes a
backup on the other side. A primary with fencing stops when its lease ends. A primary without fencing continues to
answer its clients, and all writes that it acknowledges are lost when the partition heals.
"""

from pathlib import Path

from sim import Scenario, compare
from sim.analysis.plots import save
from sim.faults import Partition
from sim.lab.story import main
from sim.network import wan
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop, UniformKeys

scenario = Scenario(
    system=PrimaryBackup(nodes=3, mode="async"),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=OpenLoop(clients=3, rate=100.0, keys=UniformKeys(500), reads=0.2),
    faults=[Partition((("virginia",),), at=5.0, duration=10.0)],
    duration=30.0,
    leader="virginia",
)

systems = [
    PrimaryBackup(nodes=3, mode="async", fencing=False, unsafe=True),
    PrimaryBackup(nodes=3, mode="async"),
    PrimaryBackup(nodes=3, mode="sync"),
]

SEEDS = 5

SHORT = {"SEEDS": 1}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Compare the three under several seeds."""
    comparison = compare(systems, scenario, seeds=range(seed, seed + SEEDS), progress=None)
    comparison.save(folder)
    save(comparison.plot.timeline(), folder / "timeline.png")
    save(comparison.plot.bars("acknowledged_lost"), folder / "acknowledged_lost.png")
    print(comparison.text())
    lost = comparison.summaries.groupby("run")["acknowledged_lost"].mean()
    unfenced, fenced, sync = (lost[comparison.label_of(system)] for system in systems)
    return (
        f"Without fencing two primaries answer for ten seconds, and {unfenced:.0f} acknowledged writes are lost.\n"
        f"With a lease it is {fenced:.0f}, those between the cut and the lease's end; sync replication loses "
        f"{sync:.0f}, as its primary cannot acknowledge anything alone."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
