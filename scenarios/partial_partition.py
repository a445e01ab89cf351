"""A server that hears nothing deposes leaders: Raft with and without PreVote and CheckQuorum under a one-way partition.

Five servers. No message reaches one of them, but its own messages reach the others. Figure 2's Raft lets it campaign
again and again with ever higher terms. PreVote makes it ask first, and with CheckQuorum the servers that hear a leader
refuse.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save, timeline
from sim.faults import Partition
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import Raft
from sim.workload import OpenLoop, UniformKeys

CASES = {
    "figure 2": {},
    "PreVote": {"pre_vote": True},
    "CheckQuorum": {"check_quorum": True},
    "both": {"pre_vote": True, "check_quorum": True},
}


def unheard(duration: float) -> Partition:
    """For so many seconds n4 hears no other server."""
    return Partition((("n0", "n1", "n2", "n3"), ("n4",)), at=5.0, duration=duration, one_way=True)


scenario = Scenario(
    system=Raft(nodes=5),
    network=lan(Exponential(0.005)),
    workload=OpenLoop(clients=10, rate=150.0, keys=UniformKeys(100)),
    faults=[unheard(20.0)],
    duration=30.0,
)

SHORT = {
    "workload": OpenLoop(clients=10, rate=60.0, keys=UniformKeys(100)),
    "faults": (unheard(12.0),),
    "duration": 20.0,
}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each setting; draw throughput and latency over time."""
    operations, events, leaders, gaps = [], [], {}, {}
    for name, options in CASES.items():
        run = dataclasses.replace(scenario, system=Raft(nodes=5, **options)).run(seed)
        operations.append(run.operations.assign(run=name, seed=seed))
        events.append(run.events.assign(run=name, seed=seed))
        elected = run.events[run.events["event"] == "elected"]
        leaders[name] = int((elected["time"] > 5.0).sum())
        gaps[name] = run.summary()["unavailability"]
    drawn = timeline(pd.concat(operations), pd.concat(events), duration=scenario.duration, width=1.0)
    save(drawn, folder / "timeline.png")
    pd.DataFrame({"elections": leaders, "unavailability": gaps}).to_csv(folder / "elections.csv")
    counted = ", ".join(f"{name} {count}" for name, count in leaders.items())
    longest = ", ".join(f"{name} {1e3 * gap:.0f} ms" for name, gap in gaps.items())
    return f"New leaders elected from the cut on: {counted}.\nLongest time without an answer: {longest}."


if __name__ == "__main__":
    main(__file__, scenario, tell)
