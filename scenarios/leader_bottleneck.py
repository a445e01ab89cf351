"""The leader is the bottleneck: throughput against latency when every message costs CPU.

Open loops on a local network, one core a replica, 40 microseconds a message. A leader handles all requests and all
acknowledgements; without a leader the work is spread.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, throughput_latency
from sim.cluster import Host
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import EPaxos, MultiPaxos, Raft
from sim.workload import OpenLoop, Uniform

RATES = (1000.0, 2000.0, 4000.0, 6000.0, 8000.0, 10_000.0)

scenario = Scenario(
    system=Raft(nodes=5),
    network=lan(Exponential(0.0005)),
    workload=OpenLoop(clients=5, rate=1000.0, keys=Uniform(100_000), reads=0.0),
    duration=1.0,
    warmup=0.3,
    hosts=Host(cores=1, per_message=40e-6),
)

SHORT = {"duration": 0.2, "warmup": 0.05}

SYSTEMS = (Raft(nodes=5), Raft(nodes=5, batch=8, batch_wait=0.001), MultiPaxos(nodes=5), EPaxos(nodes=5))


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Raise the rate until the queues grow."""
    found = []
    for system in SYSTEMS:
        done = dataclasses.replace(scenario, system=system).sweep(workload__rate=RATES, seeds=[seed])
        found.append(done.summaries)
    summaries = pd.concat(found, ignore_index=True)
    summaries.to_csv(folder / "sweep.csv", index=False)
    axes = throughput_latency(summaries, "workload__rate")
    save(axes, folder / "throughput_latency.png")
    best = summaries.groupby("run")["throughput"].max()
    busiest = summaries.loc[summaries["workload__rate"] == RATES[0]].set_index("run")["utilisation_max"]
    told = ", ".join(f"{name} {rate:.0f}/s" for name, rate in best.items())
    load = ", ".join(f"{name} {share:.0%}" for name, share in busiest.items())
    return f"Highest throughput reached: {told}.\nBusiest replica at {RATES[0]:.0f} writes/s: {load}."


if __name__ == "__main__":
    main(__file__, scenario, tell)
