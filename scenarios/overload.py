"""Overload: goodput collapses behind long queues, and shedding keeps it.

Four servers get from half to twice the load that they can serve; an answer after half a second has no value. With
unlimited queues all clients wait, and all wait too long. A short queue, controlled delay, a rate limit, or deadlines
that requests carry make sure that the accepted requests are served in time.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.balancing_measures import goodput
from sim.analysis.plots import save
from sim.analysis.plots.balancing import goodput_by_load
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import (
    Balanced,
    Codel,
    Exponential,
    LeastConnections,
    RateLimit,
    Server,
    Timeout,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVERS, SERVICE, USEFUL = 4, 0.010, 0.5
CAPACITY = SERVERS / SERVICE
LOADS = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0)
LATE = Timeout(total=USEFUL, carried=False)
GUARDS = {
    "unlimited queues": {},
    "short queues": {"servers": (Server(workers=1, queue_limit=20),) * SERVERS},
    "controlled delay": {"servers": (Server(workers=1, codel=Codel(0.05, 0.2, law="timeout")),) * SERVERS},
    "rate limit": {"resilience": (LATE, RateLimit(rate=0.95 * CAPACITY, burst=20.0))},
    "deadlines carried": {"resilience": (Timeout(total=USEFUL, carried=True),)},
}

scenario = Scenario(
    system=Balanced(
        servers=(Server(workers=1),) * SERVERS,
        service=Exponential(SERVICE),
        policy=LeastConnections(),
        resilience=(LATE,),
    ),
    network=constant(0.0005),
    workload=OpenLoop(rate=CAPACITY, clients=2, reads=1.0),
    duration=10.0,
    warmup=4.0,
    retry=Retry(timeout=30.0),
)

SHORT = {"duration": 3.0, "warmup": 1.5, "LOADS": (0.8, 2.0)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Offer every load to every guard."""
    rows = []
    for name, changes in GUARDS.items():
        system = dataclasses.replace(scenario.system, **changes)
        for load in LOADS:
            workload = dataclasses.replace(scenario.workload, rate=load * CAPACITY)  # type: ignore[call-arg]
            run = dataclasses.replace(scenario, system=system, workload=workload).run(seed)
            served = goodput(run.operations, duration=run.ended - USEFUL, warmup=run.warmup, within=USEFUL)
            rows.append({"run": name, "offered": load * CAPACITY, "goodput": served})
    points = pd.DataFrame(rows)
    points.to_csv(folder / "overload.csv", index=False)
    save(goodput_by_load(points, capacity=CAPACITY), folder / "goodput.png")
    twice = points[points["offered"] == LOADS[-1] * CAPACITY].set_index("run")["goodput"] / CAPACITY
    others = ", ".join(f"{name} {share:.0%}" for name, share in twice.items() if name != "unlimited queues")
    return (
        f"At {LOADS[-1]:.0f} times their capacity servers with unlimited queues answer in time "
        f"{twice['unlimited queues']:.0%} of their capacity.\n"
        f"With these guards they keep their goodput: {others} of capacity."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
