"""A hedged request cuts the tail: a second copy for the slowest one in twenty.

Twenty servers answer most requests in a few milliseconds, and a few requests, at random, a hundred times later. When a
request has taken longer than 95 % of requests do, a copy is sent to another server (Dean and Barroso, "The Tail at
Scale", CACM 2013). Tied requests wait in the queues of two servers at once.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import latency_cdf, save
from sim.distributions import bimodal
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import Balanced, Hedge, PowerOfChoices, Server, Tied
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVERS = 20
SERVICE = bimodal(short=0.004, long=0.200, long_share=0.005)
LOAD = 0.3

scenario = Scenario(
    system=Balanced(servers=(Server(workers=1),) * SERVERS, service=SERVICE, policy=PowerOfChoices()),
    network=constant(0.0002),
    workload=OpenLoop(rate=LOAD * SERVERS / SERVICE.mean(), clients=4, reads=1.0),
    duration=20.0,
    warmup=2.0,
    retry=Retry(timeout=30.0),
    sample_every=20.0 / 3,
)

SHORT = {"duration": 8.0, "warmup": 1.0, "sample_every": 2.5}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run it alone, hedged and tied."""
    operations, tail, extra = [], {}, {}
    for name, guards in {"single": (), "hedged at p95": (Hedge(quantile=0.95),), "tied": (Tied(),)}.items():
        system = dataclasses.replace(scenario.system, resilience=guards)  # type: ignore[call-arg]
        run = dataclasses.replace(scenario, system=system).run(seed)
        counted = run.operations[run.operations["called"] >= run.warmup]
        operations.append(run.operations.assign(run=name))
        tail[name] = [1e3 * counted["latency"].quantile(q) for q in (0.5, 0.999)]
        received = run.samples[run.samples["gauge"] == "received"]
        arrived = run.samples[run.samples["gauge"] == "arrived"]
        last = received["time"].max()
        extra[name] = (
            received[received["time"] == last]["value"].sum()
            / arrived[arrived["time"] == last]["value"].sum()
        )
    together = pd.concat(operations, ignore_index=True)
    chart = latency_cdf(together, duration=scenario.duration, warmup=run.warmup, tail=True)
    save(chart, folder / "latency_tail.png")
    pd.DataFrame(tail, index=["p50 [ms]", "p99.9 [ms]"]).to_csv(folder / "hedging.csv")
    return (
        f"Hedging at the 95th percentile brings p99.9 from {tail['single'][1]:.0f} to "
        f"{tail['hedged at p95'][1]:.0f} ms for {extra['hedged at p95'] - 1:.1%} more requests; the median stays at "
        f"{tail['hedged at p95'][0]:.1f} ms.\n"
        f"Tied requests reach {tail['tied'][1]:.0f} ms: they help a request that waits behind a slow one, "
        f"but not the slow request itself."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
