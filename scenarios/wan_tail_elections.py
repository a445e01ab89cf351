"""Timeouts on a wide area whose tail exceeds the heartbeat: needless elections, with and without PreVote.

Three regions around the Pacific on a stream transport that loses one segment in 200. A lost segment is sent again
after a timeout, and all segments behind it wait. The timeouts that the Raft paper uses on a local network (150 to 300
ms) are shorter than such a wait. The derived timeouts follow the rule of thumb of ten round trips.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import grouped_bars, save
from sim.lab.story import main
from sim.network import wan
from sim.protocols import Raft
from sim.workload import OpenLoop, UniformKeys

DETECTIONS = (0.15, 0.2, 0.3, None)

scenario = Scenario(
    system=Raft(nodes=3),
    network=wan("singapore", "sydney", "tokyo", transport="stream", loss=0.005),
    workload=OpenLoop(clients=3, rate=10.0, keys=UniformKeys(100)),
    duration=200.0,
)

SHORT = {"duration": 60.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Count elections without any fault."""
    counts: dict[str, dict[str, float]] = {}
    p99s: dict[str, dict[str, float]] = {}
    for detection in DETECTIONS:
        times = {} if detection is None else {"heartbeat": 0.05, "detection": detection}
        name = "derived" if detection is None else f"{1e3 * detection:.0f} ms"
        counts[name], p99s[name] = {}, {}
        for label, pre_vote in (("figure 2", False), ("PreVote", True)):
            run = dataclasses.replace(scenario, system=Raft(nodes=3, pre_vote=pre_vote, **times)).run(seed)
            roles = [detail["role"] for detail in run.events[run.events["event"] == "role"]["detail"]]
            counts[name][label] = 60.0 * max(0, roles.count("candidate") - 1) / run.ended
            p99s[name][label] = run.summary()["p99"]
    table, waits = pd.DataFrame(counts).T, pd.DataFrame(p99s).T
    table.to_csv(folder / "elections.csv")
    axes = grouped_bars(table, "candidacies per minute, without any fault", digits=1)
    axes.set_xlabel("shortest election timeout")
    save(axes, folder / "elections.png")
    short, rule = table.index[0], "derived"
    return (
        f"With timeouts from {short} on there are {table.loc[short, 'figure 2']:.1f} needless candidacies a minute, "
        f"{table.loc[short, 'PreVote']:.1f} with PreVote; with the derived {scenario.derived['detection']:.1f} s "
        f"{table.loc[rule, 'figure 2']:.1f}.\n"
        f"One operation in a hundred takes longer than {waits.loc[short, 'figure 2']:.2f} s, "
        f"{waits.loc[short, 'PreVote']:.2f} s and {waits.loc[rule, 'figure 2']:.2f} s."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
