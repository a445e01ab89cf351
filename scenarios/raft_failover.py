"""Raft loses its leader: how long no client is served, and what the election looks like.

Five replicas on five measured EC2 regions. The leader crashes at 10 s and restarts 5 s later. The space-time diagram
shows the moment at which a follower's timeout ends, it asks for votes, and it becomes leader.
"""

from pathlib import Path

from sim import Scenario
from sim.analysis.plots import save
from sim.cluster import CLOUD_MACHINE
from sim.faults import Crash
from sim.lab.story import main
from sim.network import wan
from sim.protocols import Raft
from sim.workload import OpenLoop, Zipf

scenario = Scenario(
    system=Raft(nodes=5),
    network=wan("virginia", "california", "oregon", "tokyo", "ireland", transport="stream"),
    workload=OpenLoop(clients=10, rate=50.0, keys=Zipf(1000), reads=0.5),
    faults=[Crash("leader", at=10.0, down=5.0)],
    duration=25.0,
    machines=CLOUD_MACHINE,
    leader="virginia",
    trace=True,
)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run it; draw the timeline and the election."""
    run = scenario.run(seed)
    run.save(folder)
    save(run.plot.timeline(), folder / "timeline.png")
    events = run.events
    elected = events[events["event"] == "elected"]
    later = elected[elected["time"] > scenario.faults[0].at]
    if later.empty:
        return f"Seed {seed}: no leader was elected after the crash.\nThe run ended at {run.ended:g} s."
    won = later.iloc[0]
    candidacies = events[(events["event"] == "role") & (events["time"] <= won["time"])]
    began = max(row.time for row in candidacies.itertuples() if row.detail.get("role") == "candidate")
    save(run.plot.space_time((began - 0.05, won["time"] + 0.25)), folder / "election.png")
    summary = run.summary()
    return (
        f"The leader crashed at {scenario.faults[0].at:g} s; {won['node']} leads term {won['detail']['term']} from "
        f"{won['time']:.2f} s on, and no client was served for {summary['unavailability']:.2f} s.\n"
        f"Of {int(summary['ok'])} acknowledged operations {run.acknowledged_lost} were lost; "
        f"the history is {run.check().status} ({run.check().consistency})."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
