"""Members change under load: three Raft servers become five and three again, one at a time and jointly.

New servers catch up as learners before they vote; the second way goes through joint consensus. Clients go on all the
while; invariants are asked after every event.
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
from sim.protocols.admin import Join, Leave, Reconfigure
from sim.workload import ClosedLoop, Uniform

ONE_BY_ONE = [
    *(Administer(Join("n3"), at=3.0), Administer(Join("n4"), at=4.0)),
    *(Administer(Leave("n1"), at=8.0), Administer(Leave("n0"), at=9.0)),
]
JOINTLY = [
    Administer(Reconfigure(("n0", "n1", "n2", "n3", "n4")), at=3.0),
    Administer(Reconfigure(("n2", "n3", "n4")), at=8.0),
]

scenario = Scenario(
    system=Raft(nodes=3, spares=2, membership="single", fast_backtracking=True),
    network=lan(Exponential(0.005)),
    workload=ClosedLoop(clients=10, think=Exponential(0.02), keys=Uniform(100)),
    faults=ONE_BY_ONE,
    duration=14.0,
    check=True,
)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run both ways; draw throughput and latency over time."""
    joint = dataclasses.replace(scenario.system, membership="joint")
    cases = {
        "one at a time": scenario,
        "joint consensus": dataclasses.replace(scenario, system=joint, faults=JOINTLY),
    }
    operations, events, told = [], [], []
    for name, case in cases.items():
        run = case.run(seed)
        operations.append(run.operations.assign(run=name, seed=seed))
        events.append(run.events.assign(run=name, seed=seed))
        returns = run.operations.loc[run.operations["status"] == "ok", "return"].sort_values()
        asked = run.events[run.events["event"] == "admin"]
        done = sum(detail["done"] for detail in asked["detail"])
        worst = 1e3 * returns[returns > 2.0].diff().max()
        verdict = run.check().status
        gap = f"longest gap between answers {worst:.0f} ms"
        told.append(f"{name}: {done} of {len(asked)} changes done, {gap}, {verdict}")
    drawn = timeline(pd.concat(operations), pd.concat(events), duration=scenario.duration, width=0.5)
    save(drawn, folder / "timeline.png")
    return "\n".join(told)


if __name__ == "__main__":
    main(__file__, scenario, tell)
