"""Balancing policies under load: random and round-robin from an idle to a nearly full system.

Ten equal servers with exponential service times. Random splitting makes each server an M/M/1 queue. Round-robin makes
the arrivals at each server more regular. The difference grows as the load comes near to saturation.
"""

from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, sweep_lines
from sim.lab.labels import describe
from sim.lab.story import main
from sim.network import constant
from sim.protocols import Balanced
from sim.protocols.balancing import Exponential, Random, RoundRobin, SmoothWeightedRoundRobin
from sim.workload import OpenLoop

SERVERS, SERVICE = 10, 0.010
LOADS = (0.5, 0.8, 0.95)
SEEDS = 3

scenario = Scenario(
    system=Balanced(servers=SERVERS, service=Exponential(SERVICE), policy=Random()),
    network=constant(0.0002),
    workload=OpenLoop(rate=0.8 * SERVERS / SERVICE, reads=1.0),
    duration=10.0,
    warmup=1.0,
)

SHORT = {"duration": 4.0, "LOADS": (0.5, 0.95), "SEEDS": 1}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Sweep the load for each policy."""
    rates = [load * SERVERS / SERVICE for load in LOADS]
    found = []
    for policy in (Random(), RoundRobin(), SmoothWeightedRoundRobin()):
        varied = scenario.vary("system__policy", policy)
        done = varied.sweep(workload__rate=rates, seeds=range(seed, seed + SEEDS))
        found.append(done.summaries)
    summaries = pd.concat(found, ignore_index=True)
    summaries["load"] = summaries["workload__rate"] * SERVICE / SERVERS
    summaries.to_csv(folder / "sweep.csv", index=False)
    save(sweep_lines(summaries, "load", "p99", log=True), folder / "p99_by_load.png")
    means = summaries.groupby(["run", "load"])["mean"].mean().unstack("run")
    random, robin = (describe(scenario.system.changed(policy=policy)) for policy in (Random(), RoundRobin()))
    heavy, light = max(LOADS), min(LOADS)
    theory = {load: 1e3 * SERVICE / (1 - load) for load in LOADS}
    measured = 1e3 * means
    return (
        f"At {heavy:.0%} load the mean latency is {measured.loc[heavy, random]:.0f} ms at random and "
        f"{measured.loc[heavy, robin]:.0f} ms with round-robin.\n"
        f"Random splitting makes each server an M/M/1 queue, for which theory says {theory[light]:.0f} ms at "
        f"{light:.0%} load ({measured.loc[light, random]:.0f} ms here) and {theory[heavy]:.0f} ms at {heavy:.0%}."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
