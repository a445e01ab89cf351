"""Stale reads are caught: what reading at the nearest backup saves, and the promise that it breaks.

The same primary-backup group is read in four ways. The checker says which model each history satisfies, and shows the
few operations that contradict linearizability. Staleness is counted in versions and in seconds.
"""

import dataclasses
from pathlib import Path

from sim import Scenario
from sim.analysis.checks import check, history_chart, staleness, strongest
from sim.analysis.plots import save
from sim.cluster import CLOUD_MACHINE
from sim.lab.story import main
from sim.network import wan
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop, UniformKeys

scenario = Scenario(
    system=PrimaryBackup(nodes=3, reads="backup"),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=OpenLoop(clients=6, rate=40.0, keys=UniformKeys(3), reads=0.7),
    duration=15.0,
    machines=CLOUD_MACHINE,
    leader="virginia",
)

READS = ("primary", "lease", "session", "backup")
SPOKEN = {"CC": "causal consistency", "CM": "causal memory", "CCv": "causal convergence"}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Judge each way of reading; draw the smallest contradiction."""
    found = []
    for reads in READS:
        run = dataclasses.replace(scenario, system=PrimaryBackup(nodes=3, reads=reads)).run(seed)
        operations = run.operations
        answered = operations[(operations["kind"] == "get") & (operations["status"] == "ok")]
        model = strongest(operations)
        found.append(f"{reads} {1e3 * answered['latency'].median():.0f} ms ({SPOKEN.get(model, model)})")
    verdict = check(operations, "linearizable")
    run.save(folder)
    save(history_chart(operations, verdict), folder / "contradiction.png")
    behind = staleness(operations)
    share = (behind["k"] > 0).mean()
    return (
        f"Median read and the strongest model that its history satisfies: {'; '.join(found)}.\n"
        f"Of the reads at backups {share:.0%} were stale, by up to {behind['k'].max():.0f} versions and "
        f"{1e3 * behind['t'].max():.0f} ms; {len(verdict.counterexample)} operations prove them not linearizable."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
