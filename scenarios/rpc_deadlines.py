"""Deadlines: cancelled work saves the server.

Clients call a front server, which calls a store that needs 10 ms for a request. An answer after half a second has no
value, and callers give up. A store that does not know that goes on working for callers that have given up. A store
that knows the deadline, or gets the cancellation, works only for callers that still wait. Retries without a deadline
make it worse.
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
from sim.protocols import RpcStore
from sim.protocols.balancing import Exponential
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVICE, USEFUL = 0.010, 0.5
CAPACITY = 1 / SERVICE
LOADS = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0)
CALLS = RpcStore(front=True, service=Exponential(SERVICE), deadline=USEFUL, timeout=10.0)
AGAIN = RpcStore(
    front=True,
    service=Exponential(SERVICE),
    semantics="at-least-once",
    timeout=0.2,
    cancellation=False,
)
SYSTEMS = {
    "deadline and cancellation": CALLS,
    "deadline of the caller only": dataclasses.replace(CALLS, cancellation=False),
    "retried every 0.2 s, executed each time": dataclasses.replace(AGAIN, deadline=USEFUL),
}

scenario = Scenario(
    system=CALLS,
    network=constant(0.0005),
    workload=OpenLoop(rate=CAPACITY, clients=2, reads=1.0),
    duration=20.0,
    warmup=5.0,
    retry=Retry(timeout=30.0),
)

SHORT = {"duration": 2.0, "warmup": 0.5, "LOADS": (0.8, 1.5, 2.0)}


def collapse(points: pd.DataFrame, run: str) -> str:
    """The least load of which less than half is served in time, as a share of the capacity."""
    mine = points[(points["run"] == run) & (points["goodput"] < points["offered"] / 2)]
    return f"{mine['offered'].min() / CAPACITY:.0%} of the capacity" if len(mine) else "no load tried"


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Offer every load to every kind of call."""
    rows = []
    for name, system in SYSTEMS.items():
        for load in LOADS:
            workload = dataclasses.replace(scenario.workload, rate=load * CAPACITY)  # type: ignore[call-arg]
            run = dataclasses.replace(scenario, system=system, workload=workload).run(seed)
            served = goodput(run.operations, duration=run.ended - USEFUL, warmup=run.warmup, within=USEFUL)
            busy = float(run.nodes.set_index("node").loc["server", "busy"]) / run.ended
            rows.append({"run": name, "offered": load * CAPACITY, "goodput": served, "busy": busy})
    points = pd.DataFrame(rows)
    points.to_csv(folder / "rpc_deadlines.csv", index=False)
    save(goodput_by_load(points, capacity=CAPACITY), folder / "goodput.png")
    at = points[points["offered"] == 1.5 * CAPACITY].set_index("run")
    share = {name: f"{at.loc[name, 'goodput'] / CAPACITY:.0%}" for name in SYSTEMS}
    told, alone, again = SYSTEMS
    return (
        f"At one and a half times its capacity a store that gets deadlines and cancellations answers "
        f"{share[told]} of its capacity in time; one without them answers {share[alone]}, and is just as busy "
        f"({at.loc[alone, 'busy']:.0%}).\n"
        f"When every attempt of a retried call is executed, less than half of the load is served in time from "
        f"{collapse(points, again)} on."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
