"""Members change under load: three Raft servers become five and three again, one at a time and jointly.

New servers catch up as learners before they vote; joint consensus changes all members at once. When a leader that
leaves steps down after the commit of its removal, there is no leader until a timeout; or it first hands leadership
over to another server. Clients continue all the time. Invariants are checked after every event.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, timeline
from sim.faults import Administer
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import Raft
from sim.protocols.admin import Join, Leave, Reconfigure, Transfer
from sim.workload import OpenLoop, UniformKeys

ONE_BY_ONE = [
    *(Administer(Join("n3"), at=3.0), Administer(Join("n4"), at=4.0)),
    *(Administer(Leave("n1"), at=8.0), Administer(Leave("n0"), at=9.0)),
]
HANDED_OVER = [*ONE_BY_ONE, Administer(Transfer("n2"), at=7.0)]
JOINTLY = [
    Administer(Reconfigure(("n0", "n1", "n2", "n3", "n4")), at=3.0),
    Administer(Reconfigure(("n2", "n3", "n4")), at=8.0),
]

scenario = Scenario(
    system=Raft(nodes=3, spares=2, membership="single", fast_backtracking=True),
    network=lan(Exponential(0.005)),
    workload=OpenLoop(clients=10, rate=200.0, keys=UniformKeys(100)),
    faults=ONE_BY_ONE,
    duration=14.0,
    check=True,
)

SHORT = {"workload": OpenLoop(clients=10, rate=50.0, keys=UniformKeys(100)), "duration": 11.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run all ways; draw throughput and latency over time."""
    cases = {
        "one at a time": scenario,
        "one at a time, leadership handed over first": dataclasses.replace(
            scenario.vary("system__transfer", True), faults=HANDED_OVER
        ),
        "joint consensus": dataclasses.replace(scenario.vary("system__membership", "joint"), faults=JOINTLY),
    }
    operations, events, told = [], [], []
    for name, case in cases.items():
        run = case.run(seed)
        operations.append(run.operations.assign(run=name, seed=seed))
        events.append(run.events.assign(run=name, seed=seed))
        returns = run.operations.loc[run.operations["status"] == "ok", "returned"].sort_values()
        asked = run.events[run.events["event"] == "admin"]
        done = sum(detail["done"] for detail in asked["detail"])
        worst = 1e3 * returns[returns > 2.0].diff().max()
        verdict = run.check().status
        told.append(f"{name}: {done} of {len(asked)} requests done, {worst:.0f} ms, {verdict}")
    drawn = timeline(pd.concat(operations), pd.concat(events), duration=scenario.duration, width=0.5)
    save(drawn, folder / "timeline.png")
    return f"Requests done, and longest gap between answers of\n{'; '.join(told)}."


if __name__ == "__main__":
    main(__file__, scenario, tell)
