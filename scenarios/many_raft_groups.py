"""Many Raft groups on the same machines: all leaders on one of them, or spread over all.

Five machines with one core each, 100 microseconds for each message, and five Raft groups that share the keys. For each
write a leader handles five messages and a follower one. So the placement of the leaders decides which core is
saturated first.
"""

from pathlib import Path

from sim import Scenario
from sim.analysis.plots import save, throughput_latency
from sim.cluster import Machine
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import Raft, ShardedRaft
from sim.workload import OpenLoop, UniformKeys

RATES = (400.0, 1000.0, 1300.0, 1700.0, 1900.0, 2100.0, 2800.0, 3800.0, 4400.0, 4800.0, 5200.0)
GOOD = 0.010  # seconds: a 99th percentile that clients are content with

scenario = Scenario(
    system=ShardedRaft(group=Raft(nodes=5), groups=5),
    network=lan(Exponential(0.0005)),
    workload=OpenLoop(clients=10, rate=400.0, keys=UniformKeys(10_000), reads=0.0),
    duration=2.5,
    warmup=0.5,
    machines=Machine(cores=1, per_message=100e-6),
)

SHORT = {"duration": 0.3, "warmup": 0.1, "RATES": (400.0, 1900.0, 5200.0)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Raise the rate until the queues grow, with leaders on one machine and on all."""
    swept = scenario.sweep(system__leaders=("pinned", "spread"), workload__rate=RATES, seeds=[seed])
    summaries = swept.summaries.assign(run=lambda frame: "leaders " + frame["system__leaders"])
    summaries.to_csv(folder / "sweep.csv", index=False)
    save(throughput_latency(summaries, "workload__rate"), folder / "throughput_latency.png")

    most = summaries.groupby("run")["throughput"].max()
    good = summaries[summaries["p99"] <= GOOD].groupby("run")["workload__rate"].max()
    pinned, spread = most["leaders pinned"], most["leaders spread"]
    nodes = scenario.system.machines  # type: ignore[attr-defined]
    return (
        f"Leaders on one machine: {pinned:.0f} writes/s at most; spread over {len(nodes)}: {spread:.0f}/s, "
        f"{spread / pinned:.1f} times as many (n^2 / (2n - 1) = {len(nodes) ** 2 / (2 * len(nodes) - 1):.1f}).\n"
        f"The 99th percentile stays below {1e3 * GOOD:.0f} ms up to {good.get('leaders pinned', 0):.0f}/s and "
        f"{good.get('leaders spread', 0):.0f}/s."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
