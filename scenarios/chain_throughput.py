"""Chain replication against primary-backup: which servers carry the load.

The primary orders all updates and answers all queries. A chain gives updates to its head and queries to its tail. CRAQ
gives queries to all servers. Costs per operation are those of van Renesse & Schneider (OSDI 2004), section 5.1: 5 ms
for a query, 50 ms for an update where it is computed, 20 ms where it is applied; 25 clients.
"""

from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, sweep_lines
from sim.lab.story import main
from sim.network import constant
from sim.protocols import ChainReplication, Craq, PrimaryBackup
from sim.protocols.client import Retry
from sim.protocols.replication.service_times import ServiceTimes
from sim.workload import ClosedLoop, UniformKeys

COSTS = ServiceTimes(query=0.005, update=0.050, apply=0.020)
READS = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)

systems = [
    PrimaryBackup(nodes=3, reads="lease", costs=COSTS, heartbeat=5.0, detection=50.0),
    ChainReplication(nodes=3, costs=COSTS, heartbeat=5.0, detection=50.0),
    Craq(nodes=3, readers="random", costs=COSTS, heartbeat=5.0, detection=50.0),
]

scenario = Scenario(
    system=systems[0],
    network=constant(0.001),
    workload=ClosedLoop(clients=25, keys=UniformKeys(1000), reads=0.9),
    retry=Retry(timeout=60.0),
    duration=40.0,
    warmup=5.0,
)

SHORT = {"duration": 11.0, "READS": (1.0, 0.95, 0.5)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Sweep the share of reads for each system."""
    found = []
    for system in systems:
        done = scenario.vary("system", system).sweep(workload__reads=list(READS), seeds=[seed])
        summaries = done.summaries
        summaries["run"] = type(system).__name__
        found.append(summaries)
    summaries = pd.concat(found, ignore_index=True)
    summaries["updates"] = 100.0 * (1.0 - summaries["workload__reads"])
    summaries.to_csv(folder / "sweep.csv", index=False)
    axes = sweep_lines(summaries, "updates", "throughput")
    axes.set_xlabel("updates (% of operations)")
    save(axes, folder / "throughput_by_updates.png")
    table = summaries.groupby(["updates", "run"])["throughput"].mean().unstack("run")
    print(table.round(1).to_string())
    few, many = table.index[1], table.index[-1]
    return (
        f"With {few:.0f} % updates the chain does {table.loc[few, 'ChainReplication']:.0f} operations a second, "
        f"primary-backup {table.loc[few, 'PrimaryBackup']:.0f}: the primary answers queries, too.\n"
        f"Without updates CRAQ does {table['Craq'].iloc[0]:.0f}, as every server answers; with {many:.0f} % all are "
        f"bound by the {1e3 * COSTS.update:.0f} ms that ordering an update costs ({table.loc[many].min():.0f} to "
        f"{table.loc[many].max():.0f})."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
