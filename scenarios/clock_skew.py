"""Last writer wins, by whose clock? What a slow clock loses, and what a hybrid logical clock saves.

Three replicas accept writes. The clock of the replica in Oregon is behind. With wall clocks, its clients overwrite
values that they have read, and get the answer "ok"; but their writes are lost at once, because their timestamps are
below those of the values that they replaced. With hybrid clocks, only concurrent writes at different replicas are
lost.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, sweep_lines
from sim.cluster import Clock, Machine
from sim.lab.story import main
from sim.network import Exponential, wan
from sim.protocols import MultiPrimary
from sim.workload import ClosedLoop, UniformKeys

scenario = Scenario(
    system=MultiPrimary(nodes=3),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=ClosedLoop(clients=6, think=Exponential(0.25), keys=UniformKeys(10), reads=0.5),
    duration=60.0,
)

SHORT = {"duration": 5.0, "SEEDS": 1}
SKEWS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds
SEEDS = 3


def lost_by(scenario: Scenario, clock: str, skew: float, seed: int) -> dict[str, float]:
    """Per cent of acknowledged writes that were lost; and of those that had seen the write that replaced them."""
    system = MultiPrimary(nodes=3, clock=clock)  # type: ignore[arg-type]
    machines = {"n1": Machine(clock=Clock(offset=-skew)), "*": Machine()}
    run = dataclasses.replace(scenario, system=system, machines=machines).run(seed)
    assert run.acknowledged_lost is not None
    writes = run.operations[(run.operations["kind"] == "put") & (run.operations["status"] == "ok")]
    dropped = [d["write"] for d in run.events.loc[run.events["event"] == "dropped", "detail"]]
    return {
        "lost": 100 * run.acknowledged_lost / len(writes),
        "dropped": 100 * len(set(dropped)) / len(writes),
    }


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Set one clock back further and further."""
    rows = []
    for skew in SKEWS:
        for one in range(seed, seed + SEEDS):
            found = {clock: lost_by(scenario, clock, skew, one) for clock in ("wall", "hybrid")}
            lines = {
                "wall clocks: all losses": found["wall"]["lost"],
                "wall clocks: had seen the winner": found["wall"]["dropped"],
                "hybrid clocks: all losses": found["hybrid"]["lost"],
                "hybrid clocks: had seen the winner": found["hybrid"]["dropped"],
            }
            rows += [
                {"run": run, "seed": one, "skew": 1e3 * skew, "share": share} for run, share in lines.items()
            ]
    points = pd.DataFrame(rows)
    points.to_csv(folder / "lost_by_skew.csv", index=False)
    ax = sweep_lines(points, "skew", "share")
    ax.set_xlabel("how far Oregon's clock is behind (ms)")
    ax.set_ylabel("acknowledged writes lost (%)")
    ax.set_ylim(bottom=-1)
    save(ax, folder / "lost_by_skew.png")
    means = points.groupby(["run", "skew"])["share"].mean().unstack("run")
    wall, wall_seen, hybrid, hybrid_seen = (means[name] for name in dict.fromkeys(points["run"]))
    return (
        f"With a clock {SKEWS[-1]:g} s behind, last writer wins by wall clocks loses {wall.iloc[-1]:.0f} % of "
        f"acknowledged writes; {wall_seen.iloc[-1]:.0f} % had seen the write that replaced them.\n"
        f"By hybrid clocks it loses {hybrid.min():.1f} to {hybrid.max():.1f} % over all skews, and at most "
        f"{hybrid_seen.max():.0f} % had seen it: the others are conflicts, which siblings or merging would save."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
