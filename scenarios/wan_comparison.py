"""Consensus and replication compared on a wide area: latency by protocol and region.

The same clients, the same measured latencies, the same seeds; leaders start in Virginia. With a leader-based protocol,
the latency of a client is the way to the leader and the leader's way to a majority. Synchronous primary-backup waits
for the farthest backup. Asynchronous primary-backup waits for no backup, and promises less.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario, compare
from sim.analysis.plots import save
from sim.cluster import CLOUD_MACHINE
from sim.lab.story import main
from sim.network import wan
from sim.protocols import MultiPaxos, PrimaryBackup, Raft
from sim.workload import OpenLoop, Zipf

scenario = Scenario(
    system=Raft(nodes=5),
    network=wan("virginia", "california", "oregon", "tokyo", "ireland", transport="stream"),
    workload=OpenLoop(clients=10, rate=50.0, keys=Zipf(1000), reads=0.5),
    duration=15.0,
    warmup=1.0,
    machines=CLOUD_MACHINE,
    leader="virginia",
)

systems = [Raft(nodes=5), MultiPaxos(nodes=5), PrimaryBackup(nodes=5), PrimaryBackup(nodes=5, mode="async")]

SEEDS = 5

SHORT = {"duration": 8.0, "SEEDS": 1}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Compare; draw distributions and percentiles."""
    comparison = compare(
        systems, dataclasses.replace(scenario), seeds=range(seed, seed + SEEDS), progress=None
    )
    comparison.save(folder)
    save(comparison.plot.latency_cdf(), folder / "latency_cdf.png")
    save(comparison.plot.latency_percentiles(), folder / "latency_percentiles.png")
    print(comparison.text())
    writes = comparison.operations[comparison.operations["kind"] == "put"]
    medians: pd.Series = writes.groupby(["run", "region"])["latency"].median()
    linearizable = comparison.table().query("guarantee == 'linearizable'")
    promised = medians[medians.index.get_level_values("run").isin(linearizable["system"])]
    quickest = {region: promised.xs(region, level="region").idxmin() for region in scenario.network.regions}
    best = linearizable.loc[linearizable["p50"].idxmin()]
    shown = ", ".join(f"{r} {1e3 * promised[quickest[r], r]:.0f} ms ({quickest[r]})" for r in quickest)
    return (
        f"Of those that promise linearizability, {best['system']} has the lowest median: {1e3 * best['p50']:.0f} ms.\n"
        f"Their quickest median write by region: {shown}."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
