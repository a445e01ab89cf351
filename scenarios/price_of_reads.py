"""The price of linearizable reads in Raft: through the log, by read index, by lease, at followers, or stale.

Most operations are reads, clients are in three regions, and the leader is in Virginia. The latency of each way of
reading is measured. Whether it is linearizable is judged from what the clients saw.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import grouped_bars, save
from sim.cluster import CLOUD_MACHINE
from sim.lab.story import main
from sim.network import wan
from sim.protocols import Raft
from sim.workload import OpenLoop, UniformKeys

WAYS = ("log", "index", "lease", "follower", "stale")
REGIONS = ("virginia", "oregon", "ireland")

scenario = Scenario(
    system=Raft(nodes=3),
    network=wan(*REGIONS, transport="stream"),
    workload=OpenLoop(clients=6, rate=40.0, keys=UniformKeys(5), reads=0.9),
    duration=15.0,
    warmup=1.0,
    machines=CLOUD_MACHINE,
    leader="virginia",
)

SHORT = {"duration": 8.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each way of reading."""
    medians, status, messages = {}, {}, {}
    for way in WAYS:
        run = dataclasses.replace(scenario, system=Raft(nodes=3, reads=way)).run(seed)
        reads = run.operations[run.operations["kind"] == "get"]
        medians[way] = 1e3 * reads.groupby("region")["latency"].median()
        status[way] = run.check("linearizable").status
        messages[way] = run.summary()["messages_per_operation"]
        run.save(folder / way)
    table = pd.DataFrame(medians).loc[list(REGIONS)]
    save(grouped_bars(table, "median read latency (ms)", digits=1), folder / "reads.png")
    means = ", ".join(f"{way} {table[way].mean():.0f} ms ({messages[way]:.1f} messages)" for way in WAYS)
    broken = [way for way in WAYS if status[way] != "valid"]
    saved = table["lease"].mean() - table["stale"].mean()
    return (
        f"Mean over regions of the median read, and messages per operation: {means}.\n"
        f"Linearizable: {', '.join(way for way in WAYS if way not in broken)}; "
        f"caught: {', '.join(broken) or 'none'}, which saves {saved:.0f} ms over the lease."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
