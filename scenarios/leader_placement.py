"""The place of the leader decides which clients wait: Raft on five regions, led from each in turn, beside EPaxos.

With a leader-based protocol, the latency of a client is its way to the leader and the leader's way to a majority.
Without a leader it is the way of the client's region to a fast quorum.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario, compare_scenarios
from sim.analysis.plots import save
from sim.lab.story import main
from sim.network import wan
from sim.protocols import EPaxos, Raft
from sim.workload import OpenLoop, UniformKeys

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland")

scenario = Scenario(
    system=Raft(nodes=5),
    network=wan(*REGIONS, transport="stream"),
    workload=OpenLoop(clients=10, rate=40.0, keys=UniformKeys(1000), reads=0.0),
    duration=12.0,
    warmup=1.0,
)

SHORT = {"duration": 6.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """One run for each place of the leader."""
    cases = {f"led from {r}": dataclasses.replace(scenario, leader=r) for r in REGIONS}
    cases["EPaxos"] = dataclasses.replace(scenario, system=EPaxos(nodes=5))
    comparison = compare_scenarios(cases, seeds=[seed], progress=None)
    comparison.save(folder)
    save(comparison.plot.by_region("p50"), folder / "median_by_region.png")
    shown = 1e3 * comparison.by_region().pivot(index="region", columns="run", values="p50")
    means = shown.drop(columns="EPaxos").mean()
    best, worst = means.idxmin(), means.idxmax()
    return (
        f"Mean over regions of the median write: {means[best]:.0f} ms {best}, {means[worst]:.0f} ms {worst}; "
        f"without a leader {shown['EPaxos'].mean():.0f} ms.\n"
        f"A client in the leader's region waits {_own(shown):.0f} ms on average, "
        f"all others {_others(shown):.0f} ms."
    )


def _own(shown: pd.DataFrame) -> float:
    return float(pd.Series([shown.loc[r, f"led from {r}"] for r in REGIONS]).mean())


def _others(shown: pd.DataFrame) -> float:
    pairs = [(r, f"led from {s}") for r in REGIONS for s in REGIONS if r != s]
    return float(pd.Series([shown.loc[pair] for pair in pairs]).mean())


if __name__ == "__main__":
    main(__file__, scenario, tell)
