"""A grey server is slow, not dead: some policies notice, others do not.

Ten servers. From some moment on, one of them runs at a fifth of its speed, but passes every health check. Policies
that measure nothing keep sending it a tenth of the requests. Policies that look at requests in flight or at latency do
not.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.balancing_measures import gauge_by_node
from sim.analysis.measures import imbalance
from sim.analysis.plots import latency_cdf, save
from sim.analysis.plots.balancing import server_shares
from sim.faults import Slow
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import (
    Balanced,
    Exponential,
    HealthChecks,
    JoinIdleQueue,
    LeastConnections,
    PeakEwma,
    Policy,
    PowerOfChoices,
    Prequal,
    Random,
    RingHash,
    RoundRobin,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVERS, SERVICE, LOAD = 10, 0.010, 0.6
POLICIES: dict[str, Policy] = {
    "random": Random(),
    "round-robin": RoundRobin(),
    "hash ring": RingHash(),
    "least connections": LeastConnections(),
    "two choices": PowerOfChoices(d=2),
    "idle queue": JoinIdleQueue(),
    "peak EWMA": PeakEwma(),
    "Prequal": Prequal(),
}

scenario = Scenario(
    system=Balanced(
        servers=SERVERS,
        service=Exponential(SERVICE),
        policy=Random(),
        resilience=(HealthChecks(interval=0.5, timeout=0.2),),
    ),
    network=constant(0.0002),
    workload=OpenLoop(rate=LOAD * SERVERS / SERVICE, clients=4, reads=1.0),
    faults=[Slow("s0", at=1.0, speed=0.2)],
    duration=8.0,
    warmup=1.0,
    retry=Retry(timeout=30.0),
    sample_every=0.5,
)

SHORT = {"duration": 2.2}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each policy against the grey server."""
    operations, shares, rows = [], {}, []
    for name, policy in POLICIES.items():
        system = dataclasses.replace(scenario.system, policy=policy)  # type: ignore[call-arg]
        run = dataclasses.replace(scenario, system=system).run(seed)
        received = gauge_by_node(run.samples, "received")
        grown = received.iloc[-1] - received[received.index <= 1.0].iloc[-1]
        shares[name] = [grown[f"s{i}"] for i in range(SERVERS)]
        ejected = bool((run.events["event"] == "unhealthy").any())
        rows.append(
            {"policy": name, "grey share": grown["s0"] / grown.sum(), "p99 [ms]": 1e3 * run.summary()["p99"],
             "taken out": ejected, **imbalance(shares[name])}
        )  # fmt: skip
        operations.append(run.operations.assign(run=name))
    table = pd.DataFrame(rows).set_index("policy")
    table.to_csv(folder / "grey_server.csv")
    together = pd.concat(operations, ignore_index=True)
    chart = latency_cdf(together, duration=scenario.duration, warmup=run.warmup, tail=True)
    save(chart, folder / "latency_tail.png")
    save(server_shares(shares), folder / "shares.png")
    best, worst = table["p99 [ms]"].idxmin(), table["p99 [ms]"].idxmax()
    noticed = "none" if not table["taken out"].any() else ", ".join(table.index[table["taken out"]])
    return (
        f"The grey server got {table.loc[worst, 'grey share']:.1%} of the requests under {worst} (p99 "
        f"{table.loc[worst, 'p99 [ms]']:.0f} ms) and {table.loc[best, 'grey share']:.1%} under {best} "
        f"(p99 {table.loc[best, 'p99 [ms]']:.0f} ms).\n"
        f"Health checks took it out in {noticed} of the {len(table)} runs: it answers them, it is only slow."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
