"""A follower comes back after five seconds: with the log kept whole it is sent all it missed, else a snapshot.

Raft under a steady load of writes to few keys. Compaction bounds the length of the log and the data that a lagging
follower is sent. The disks pay for it: the more often a snapshot is taken, the more is written.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from sim import Scenario
from sim.analysis.plots import save
from sim.analysis.plots.style import colours, dress, legend, log_ticks
from sim.cluster import CLOUD_MACHINE
from sim.faults import Crash
from sim.lab.story import main
from sim.network import lan
from sim.protocols import Raft
from sim.workload import Mix, OpenLoop, UniformKeys

AWAY, BACK = 2.0, 7.0

scenario = Scenario(
    system=Raft(nodes=3, pipeline=16, fast_backtracking=True),
    network=lan(),
    workload=OpenLoop(rate=400.0, mix=Mix((("put", 1.0),), UniformKeys(50))),
    faults=[Crash("n2", at=AWAY, down=BACK - AWAY)],
    duration=10.0,
    machines=CLOUD_MACHINE,
    sample_every=0.02,
    trace=True,
)

SHORT = {"workload": OpenLoop(rate=200.0, mix=Mix((("put", 1.0),), UniformKeys(50)))}

EVERY = {"log kept whole": None, "snapshot every 500": 500, "snapshot every 50": 50}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run with and without compaction; draw how long the log is, what is sent, and what is written."""
    logs, rows = {}, {}
    for name, every in EVERY.items():
        run = scenario.vary("system__snapshot_every", every).run(seed)
        wide = run.samples.pivot_table(index="time", columns=["gauge", "node"], values="value")
        behind = wide["last_applied"]["n0"] - wide["last_applied"]["n2"]
        level = behind[(behind.index > BACK) & (behind <= 40)]  # a heartbeat's worth of what it learns late
        sent = run.messages[(run.messages["dst"] == "n2") & (run.messages["src"] == "n0")]
        caught_up = sent[sent["sent"].between(BACK, level.index[0])]
        logs[name] = wide["log"]["n0"]
        rows[name] = {
            "seconds": level.index[0] - BACK,
            "sent": caught_up["bytes"].sum() / 1e3,
            "written": run.nodes.set_index("node").loc["n0", "disk_bytes"] / 1e3,
            "log": wide["log"]["n0"].max(),
        }
    table = pd.DataFrame(rows).T
    table.to_csv(folder / "snapshot_transfer.csv")
    save(draw(logs, table), folder / "snapshot_transfer.png")
    told = [
        f"{name}: {1e3 * row['seconds']:.0f} ms and {row['sent']:.1f} kB to catch up, log of at most "
        f"{row['log']:.0f} entries, {row['written']:.0f} kB written"
        for name, row in table.iterrows()
    ]
    return f"{told[0]}.\n{'; '.join(told[1:])}."


def draw(logs: dict[str, pd.Series], table: pd.DataFrame) -> Any:
    """The length of the leader's log over time; what was sent to the follower, and written by the leader."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.4, 4.8), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[3, 1])
    above, sent, written = (
        figure.add_subplot(grid[0, :]),
        *(figure.add_subplot(grid[1, k]) for k in (0, 1)),
    )
    for axes in (above, sent, written):
        dress(axes)
    for place, (name, colour) in enumerate(colours(logs).items()):
        above.plot(logs[name], color=colour, label=name, linewidth=1.2)
        for axes, what in ((sent, "sent"), (written, "written")):
            axes.barh(place, table.loc[name, what], color=colour)
            axes.text(table.loc[name, what], place, f" {table.loc[name, what]:.0f}", va="center", fontsize=8)
    above.set_yscale("log")
    above.set_ylim(bottom=10)
    log_ticks(above.yaxis)
    above.set_xlim(0, logs[next(iter(logs))].index[-1])
    above.set_xlabel("time (s)")
    above.set_ylabel("entries in the leader's log")
    above.axvspan(AWAY, BACK, color="#E8E8E8", linewidth=0, zorder=0)
    above.text(
        AWAY + 0.1, 0.96, "n2 is down", transform=above.get_xaxis_transform(), va="top", color="#6E6E6E"
    )
    legend(above)
    for axes, label in ((sent, "sent to n2 to catch up (kB)"), (written, "written by the leader (kB)")):
        axes.invert_yaxis()
        axes.set_yticks([])
        axes.grid(False, axis="y")
        axes.margins(x=0.15)
        axes.set_xlabel(label)
    return above


if __name__ == "__main__":
    main(__file__, scenario, tell)
