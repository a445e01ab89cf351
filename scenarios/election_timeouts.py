"""How wide should election timeouts be? Time to a new Raft leader against the spread of the timeouts.

If the range of timeouts is too narrow, votes are split; if it is too wide, servers wait too long. The leader crashes
in many runs. Each point is the time from the crash to the election of the next leader, for ranges of one to several
times the detection timeout.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, sweep_lines
from sim.faults import Crash
from sim.lab.story import main
from sim.network import Uniform, lan
from sim.protocols import Raft
from sim.workload import ClosedLoop

SPREADS = (1.01, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0)
SEEDS = 20

scenario = Scenario(
    system=Raft(nodes=5, heartbeat=0.075, detection=0.15),
    network=lan(Uniform(0.004, 0.008)),
    workload=ClosedLoop(clients=1, think=1.0),
    faults=[Crash("leader", at=1.0)],
    duration=6.0,
)

SHORT = {"SEEDS": 8}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Crash the leader under many seeds, for each spread."""
    rows = []
    for spread in SPREADS:
        case = scenario.vary("system__timeout_spread", spread)
        for k in range(SEEDS):
            run = dataclasses.replace(case).run(seed + k)
            elected = run.events[(run.events["event"] == "elected") & (run.events["time"] > 1.0)]
            taken = float(elected["time"].iloc[0]) - 1.0 if len(elected) else np.nan
            rows.append({"run": "Raft", "seed": seed + k, "spread": spread, "election": taken})
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "elections.csv", index=False)
    axes = sweep_lines(frame, "spread", "election", log=True)
    axes.set_xlabel("longest election timeout (times the shortest, 150 ms)")
    axes.set_ylabel("crash to new leader (s)")
    save(axes, folder / "election_time.png")
    means = frame.groupby("spread")["election"].mean()
    worst = frame.groupby("spread")["election"].max()
    best, narrow, wide = means.idxmin(), SPREADS[0], SPREADS[-1]
    return (
        f"Mean time from crash to new leader: {1e3 * means[narrow]:.0f} ms with timeouts nearly equal, "
        f"{1e3 * means[best]:.0f} ms at {best:g} times, {1e3 * means[wide]:.0f} ms at {wide:g} times.\n"
        f"Longest of {SEEDS}: {1e3 * worst[narrow]:.0f}, {1e3 * worst[best]:.0f} and {1e3 * worst[wide]:.0f} ms."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
