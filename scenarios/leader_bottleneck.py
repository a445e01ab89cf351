"""The leader is the bottleneck: throughput against latency when every message costs CPU, with batches and without.

Open loops on a local network, one core for each replica, 40 microseconds for each message. A leader receives each
request and each acknowledgement; without a leader the work is spread. Batches turn many messages into few, so the
comparison is between equals: Multi-Paxos and EPaxos send each command by itself; both leaders with batches collect
commands for a millisecond. Figure 2's Raft is between these: one AppendEntries carries all entries that are not yet
acknowledged. Once acknowledgements queue, Raft sends one message for many commands. So Raft needs no setting to batch,
but it batches only when its leader is already saturated.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, throughput_latency
from sim.cluster import Machine
from sim.lab.run import Run
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import EPaxos, MultiPaxos, Raft
from sim.workload import OpenLoop, UniformKeys

RATES = (1000.0, 2000.0, 4000.0, 6000.0, 8000.0, 10_000.0)

scenario = Scenario(
    system=Raft(nodes=5),
    network=lan(Exponential(0.0005)),
    workload=OpenLoop(clients=5, rate=1000.0, keys=UniformKeys(100_000), reads=0.0),
    duration=1.0,
    warmup=0.3,
    machines=Machine(cores=1, per_message=40e-6),
)

SHORT = {"duration": 0.15, "warmup": 0.05, "RATES": (1000.0, 10_000.0)}

SYSTEMS = {
    "EPaxos": EPaxos(nodes=5),
    "Multi-Paxos": MultiPaxos(nodes=5),
    "Raft": Raft(nodes=5),
    "Multi-Paxos, batches": MultiPaxos(nodes=5, batch=8, linger=0.001),
    "Raft, batches": Raft(nodes=5, batch=8, batch_wait=0.001),
}


def received(run: Run) -> float:
    """Messages that the busiest replica received, for each write that was answered."""
    replicas = run.nodes[run.nodes["role"] == "replica"]
    return float(replicas["messages_in"].max() / (run.operations["status"] == "ok").sum())


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Raise the rate until the queues grow."""
    found, messages = [], {}
    for name, system in SYSTEMS.items():
        done = dataclasses.replace(scenario, system=system).sweep(
            workload__rate=RATES, seeds=[seed], judge=False, progress=None, frames=True
        )
        found.append(done.summaries.assign(run=name))
        messages[name] = [received(run) for run in done.runs]
    summaries = pd.concat(found, ignore_index=True)
    summaries.to_csv(folder / "sweep.csv", index=False)
    axes = throughput_latency(summaries, "workload__rate")
    save(axes, folder / "throughput_latency.png")
    best = summaries.groupby("run", sort=False)["throughput"].max()
    told = ", ".join(f"{name} {rate:.0f}/s" for name, rate in best.items())
    calm = ", ".join(f"{name} {counts[0]:.1f}" for name, counts in messages.items())
    return (
        f"Highest throughput reached: {told}.\n"
        f"Messages a write at the busiest replica, at {RATES[0]:.0f} writes/s: {calm}; at {RATES[-1]:.0f}/s Raft's "
        f"leader gets {messages['Raft'][-1]:.1f}, as it batches by itself once acknowledgements queue."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
