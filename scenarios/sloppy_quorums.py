"""Sloppy quorums and hinted handoff in a partition: available, but not regular.

Five nodes, three homes for each key, R = W = 2. Two of the nodes and half of the clients are cut off for eight
seconds. With strict quorums a key is served on the side that has two of its homes. With sloppy quorums the next nodes
of the ring take the place of homes that do not answer. So both sides serve every key, and a read may miss a write that
had returned long before. When the partition heals, hints are sent to the homes, and all homes agree again.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.checks import check, history_chart, staleness
from sim.analysis.plots import save, timeline
from sim.faults import Partition
from sim.lab.simulation import Simulation
from sim.lab.story import main
from sim.network import Exponential, matrix
from sim.protocols import Dynamo
from sim.protocols.client import Retry
from sim.workload import OpenLoop, UniformKeys

NEAR, FAR = Exponential(0.0005, 0.0005), Exponential(0.002, 0.010)
CUT, HEALED = 6.0, 14.0

scenario = Scenario(
    system=Dynamo(nodes=5, n=3),
    network=matrix(("east", "west"), [[NEAR, FAR], [FAR, NEAR]]),
    workload=OpenLoop(clients={"east": 1, "west": 1}, rate=120.0, keys=UniformKeys(100), reads=0.5),
    faults=[Partition((("west",),), at=CUT, duration=HEALED - CUT)],
    retry=Retry(timeout=1.5, deadline=3.0),
    duration=24.0,
    check=True,
)

SHORT = {
    "workload": OpenLoop(clients={"east": 1, "west": 1}, rate=60.0, keys=UniformKeys(50), reads=0.5),
}

SYSTEMS = {"strict": Dynamo(nodes=5, n=3), "sloppy": Dynamo(nodes=5, n=3, sloppy=True)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run both under the same cut; draw throughput, and the smallest contradiction to regularity."""
    frames, events, answered, stale, verdicts, hints = [], [], {}, {}, {}, {}
    for name, system in SYSTEMS.items():
        simulation = dataclasses.replace(scenario, system=system).start(seed)
        simulation.run(until=HEALED)
        hints[name] = kept_hints(simulation)
        simulation.run()
        simulation.finish()
        operations = simulation.recorder.frame("operations")
        frames.append(operations.assign(run=name, seed=seed))
        events.append(simulation.recorder.frame("events").assign(run=name, seed=seed))
        during = operations[operations["called"].between(CUT, HEALED - 3.0)]
        answered[name] = (during["status"] == "ok").mean()
        behind = staleness(operations)
        stale[name] = behind[behind["k"] > 0]
        verdicts[name] = check(operations, "regular")
        if name == "sloppy":
            save(contradiction(operations), folder / "not_regular.png")
            hints["left"] = kept_hints(simulation)
    drawn = timeline(pd.concat(frames), pd.concat(events), duration=scenario.duration)
    save(drawn, folder / "availability.png")
    pd.concat(frames).to_csv(folder / "operations.csv", index=False)
    oldest = stale["sloppy"]["t"].max()
    strict, sloppy = verdicts["strict"].status, verdicts["sloppy"].status
    return (
        f"With two of five nodes cut off, strict quorums answer {answered['strict']:.0%} of operations and sloppy ones "
        f"{answered['sloppy']:.0%}, which keep {hints['sloppy']} hints; {hints['left']} are left at the end.\n"
        f"As a regular register the strict history is {strict}, the sloppy one {sloppy}: {len(stale['sloppy'])} of its "
        f"reads were stale, by up to {oldest:.1f} s (strict: {len(stale['strict'])})."
    )


def contradiction(operations: pd.DataFrame) -> object:
    """The operations that prove that the history is not regular, with others on the same key around that time."""
    proof = check(operations, "regular").counterexample
    if proof:
        begin, end = min(op.called for op in proof) - 0.7, max(op.returned for op in proof) + 0.7
        about = (operations["key"] == proof[0].key) & operations["called"].between(begin, end)
        operations = operations[about].reset_index(drop=True)
    sides = operations["process"].astype(str) + " (" + operations["region"] + ")"
    named = operations.assign(process=sides)
    return history_chart(named, check(named, "regular"))


def kept_hints(simulation: Simulation) -> int:
    """How many hints the nodes keep now."""
    nodes = simulation.members.values()
    return sum(len(kept) for node in nodes for kept in node.handoff.hints.values())  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(__file__, scenario, tell)
