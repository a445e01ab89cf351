"""The primary crashes: async replication loses what it acknowledged while its backups could not hear it.

A crash does not recall messages that are on the wire. So when a primary on a healthy network crashes, no write is
lost, even if the primary waits for no backup. But if its backups cannot hear it for a while before the crash, an async
primary continues to acknowledge writes, and all these writes are lost in the crash. A sync primary acknowledges
nothing meanwhile, and loses nothing. Each point is a mean over crashes.
"""

from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, sweep_lines
from sim.cluster import CLOUD_MACHINE
from sim.faults import Crash, Cut, Fault
from sim.lab.compare import compare_scenarios
from sim.lab.story import main
from sim.network import wan
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop, UniformKeys

RATE, WRITES, CRASH = 200.0, 0.8, 4.0
UNHEARD = (0.0, 0.1, 0.25, 0.5)  # seconds before the crash
SEEDS = 5
MODES = ("sync", "async")

SHORT = {"UNHEARD": (0.0, 0.5), "SEEDS": 1}


def faults(unheard: float) -> list[Fault]:
    """The primary crashes; for so many seconds before, none of its messages reaches a backup."""
    cuts = [Cut("n0", backup, at=CRASH - unheard, duration=unheard + 1.0) for backup in ("n1", "n2")]
    return [*(cuts if unheard else []), Crash("n0", at=CRASH)]


scenario = Scenario(
    system=PrimaryBackup(nodes=3),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=OpenLoop(clients=3, rate=RATE, keys=UniformKeys(500), reads=1.0 - WRITES),
    faults=faults(UNHEARD[-1]),
    duration=8.0,
    machines=CLOUD_MACHINE,
    leader="virginia",
)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Cut the primary off ever earlier before its crash, in both modes."""
    found = []
    for unheard in UNHEARD:
        case = scenario.vary("faults", faults(unheard))
        cases = {mode: case.vary("system__mode", mode) for mode in MODES}
        comparison = compare_scenarios(cases, seeds=range(seed, seed + SEEDS), progress=None)
        found.append(comparison.summaries.assign(unheard=unheard))
    summaries = pd.concat(found, ignore_index=True)
    summaries.to_csv(folder / "summaries.csv", index=False)
    axes = sweep_lines(summaries, "unheard", "acknowledged_lost")
    axes.set_xlabel("seconds before the crash in which no backup heard the primary")
    axes.set_ylabel("acknowledged writes lost in the crash")
    save(axes, folder / "lost_by_time_unheard.png")
    lost = summaries.groupby(["run", "unheard"])["acknowledged_lost"].mean()
    calm = summaries[summaries["unheard"] == 0.0].groupby("run")["p50"].mean()
    longest = UNHEARD[-1]
    return (
        f"Async loses {lost['async', 0.0]:.1f} acknowledged writes when the primary crashes on a healthy network, and "
        f"{lost['async', longest]:.1f} when no backup has heard it for {longest:g} s "
        f"({WRITES * RATE:.0f} writes/s are asked for).\n"
        f"Sync loses {lost['sync', 0.0]:.1f} and {lost['sync', longest]:.1f}; for that, half of all operations take up "
        f"to {1e3 * calm['sync']:.0f} ms instead of {1e3 * calm['async']:.0f} ms."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
