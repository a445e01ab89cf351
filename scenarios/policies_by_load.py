"""Balancing policies from 70 to 95 % load, with equal servers and with unequal ones.

Equal: ten servers of one speed. Unequal: five servers are three times as fast as the other five. The weighted policies
know the speeds; the other policies must find them out. The fuller the servers are, the more this knowledge matters.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, sweep_lines, throughput_latency
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import (
    Balanced,
    Exponential,
    JoinIdleQueue,
    LeastConnections,
    PeakEwma,
    Policy,
    PowerOfChoices,
    Prequal,
    Random,
    RoundRobin,
    Server,
    SmoothWeightedRoundRobin,
    WeightedRandom,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVERS, SERVICE = 10, 0.010
LOADS = (0.70, 0.80, 0.90, 0.95)
FAST, SLOW = (
    Server(service=Exponential(SERVICE / 1.5), weight=3.0),
    Server(service=Exponential(SERVICE / 0.5)),
)
POLICIES: dict[str, dict[str, Policy]] = {
    "equal": {
        "random": Random(),
        "round-robin": RoundRobin(),
        "two choices": PowerOfChoices(d=2),
        "least connections": LeastConnections(),
        "idle queue": JoinIdleQueue(),
        "Prequal": Prequal(),
    },
    "unequal": {
        "weighted random": WeightedRandom(),
        "weighted round-robin": SmoothWeightedRoundRobin(),
        "two choices": PowerOfChoices(d=2),
        "weighted least conn.": LeastConnections(weighted=True),
        "peak EWMA": PeakEwma(),
        "Prequal": Prequal(),
    },
}

scenario = Scenario(
    system=Balanced(servers=SERVERS, service=Exponential(SERVICE)),
    network=constant(0.0002),
    workload=OpenLoop(rate=LOADS[0] * SERVERS / SERVICE, clients=4, reads=1.0),
    duration=6.0,
    warmup=1.0,
    retry=Retry(timeout=30.0),
)

SHORT = {"duration": 1.2, "warmup": 0.3, "LOADS": (0.7, 0.95)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run every policy at every load, on both kinds of fleet."""
    tables = {}
    for fleet, policies in POLICIES.items():
        rows = []
        servers = SERVERS if fleet == "equal" else (FAST,) * 5 + (SLOW,) * 5
        for name, policy in policies.items():
            system = dataclasses.replace(scenario.system, servers=servers, policy=policy)  # type: ignore[call-arg]
            for load in LOADS:
                workload = dataclasses.replace(scenario.workload, rate=load * SERVERS / SERVICE)  # type: ignore[call-arg]
                run = dataclasses.replace(scenario, system=system, workload=workload).run(seed)
                rows.append({"run": name, "seed": seed, "load": load, **run.summary()})
        summaries = pd.DataFrame(rows)
        summaries.to_csv(folder / f"{fleet}.csv", index=False)
        save(sweep_lines(summaries, "load", "p99", log=True), folder / f"p99_{fleet}.png")
        save(throughput_latency(summaries, "load"), folder / f"hockey_stick_{fleet}.png")
        tables[fleet] = 1e3 * summaries.pivot_table(index="load", columns="run", values="p99", sort=False)
    full = LOADS[-1]
    lines = []
    for fleet, table in tables.items():
        best, worst = table.loc[full].idxmin(), table.loc[full].idxmax()
        lines.append(
            f"{fleet.capitalize()} servers at {full:.0%}: p99 is {table.loc[full, worst]:.0f} ms with {worst} and "
            f"{table.loc[full, best]:.0f} ms with {best} (at {LOADS[0]:.0%}: {table.loc[LOADS[0], worst]:.0f} and "
            f"{table.loc[LOADS[0], best]:.0f} ms)."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(__file__, scenario, tell)
