"""How tight is too tight: an incident played back against five election timeouts.

Five round trips a second between three sites, through a brownout around the leader's site (made up by
incident/make_incident.py). When the recording is played back, slow and lost round trips come together, as they did in
the incident. When latencies are drawn independently from the same samples, they do not, and no timeout looks too
tight for Raft.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Run, Scenario
from sim.analysis.plots import grouped_bars, save
from sim.lab.story import main
from sim.network import wan
from sim.protocols import PrimaryBackup, Raft
from sim.workload import OpenLoop, UniformKeys

MEASURED = Path(__file__).parent / "incident" / "incident.csv"
DETECTIONS = (0.3, 0.6, 1.2, 2.4, 4.8)

scenario = Scenario(
    system=Raft(nodes=3, heartbeat=0.1),
    network=wan(csv=MEASURED, replay=True),
    leader="frankfurt",
    workload=OpenLoop(clients=3, rate=20.0, keys=UniformKeys(100)),
    duration=120.0,
)

SHORT = {"duration": 60.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Play the incident back for each timeout: with Raft, and with a primary that answers before its backups do."""
    independent = dataclasses.replace(scenario, network=wan(csv=MEASURED))
    rows = []
    for detection in DETECTIONS:
        raft = Raft(nodes=3, heartbeat=0.1, detection=detection)
        eager = PrimaryBackup(nodes=3, mode="async", heartbeat=0.1, detection=detection)
        played = dataclasses.replace(scenario, system=raft).run(seed)
        backup = dataclasses.replace(scenario, system=eager).run(seed)
        drawn = dataclasses.replace(independent, system=raft).run(seed)
        rows.append(
            {
                "timeout": detection,
                "Raft, played back": needless_changes(played),
                "primary-backup, played back": needless_changes(backup),
                "Raft, drawn independently": needless_changes(drawn),
                "outage": outage(played),
                "lost by Raft": played.summary()["acknowledged_lost"],
                "lost by primary-backup": backup.summary()["acknowledged_lost"],
            }
        )
    table = pd.DataFrame(rows).set_index("timeout")
    table.to_csv(folder / "incident.csv")
    axes = grouped_bars(
        table[[name for name in table if "," in name]], "needless changes of leader", digits=0
    )
    axes.set_xlabel("shortest election timeout (s)")
    save(axes, folder / "incident.png")
    return (
        f"No site was down. With timeouts from {listed(table.index)} s on, Raft elected needlessly "
        f"{listed(table['Raft, played back'])} times ({listed(table['Raft, drawn independently'])} where the same "
        f"samples are drawn independently); longest time without an answer {listed(table['outage'].round(1))} s.\n"
        f"Acknowledged writes lost: {listed(table['lost by Raft'])} by Raft, "
        f"{listed(table['lost by primary-backup'])} by primary-backup without waiting for backups."
    )


def needless_changes(run: Run) -> int:
    """The number of leaders elected after the first one. No node was down, so none was needed."""
    return max(0, int((run.events["event"] == "elected").sum()) - 1)


def outage(run: Run) -> float:
    """The longest time between two answers, in seconds."""
    answered = run.operations[run.operations["status"] == "ok"]["returned"].sort_values()
    return float(answered.diff().max())


def listed(values: "pd.Index | pd.Series") -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


if __name__ == "__main__":
    main(__file__, scenario, tell)
