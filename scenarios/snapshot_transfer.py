"""A replica comes back after five seconds: with the log kept whole it is sent all it missed, else a snapshot.

Multi-Paxos under a steady load on few keys. Compaction bounds the log, and what a lagging replica is sent; how often
a snapshot is taken is what it costs the others.
"""

import dataclasses
from pathlib import Path

from sim import Scenario
from sim.analysis.plots import save
from sim.cluster import CLOUD_HOST
from sim.faults import Crash
from sim.lab.story import main
from sim.network import lan
from sim.protocols import MultiPaxos
from sim.workload import Mix, OpenLoop, Uniform

scenario = Scenario(
    system=MultiPaxos(nodes=3),
    network=lan(),
    workload=OpenLoop(rate=400.0, mix=Mix((("put", 1.0),), Uniform(50))),
    faults=[Crash("n2", at=2.0, down=5.0)],
    duration=10.0,
    hosts=CLOUD_HOST,
    sample_every=0.02,
    trace=True,
)

systems = [
    MultiPaxos(nodes=3),
    MultiPaxos(nodes=3, snapshot_every=500),
    MultiPaxos(nodes=3, snapshot_every=50),
]
BACK = 7.0


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run with and without compaction; draw how long the log is and how far the replica lags."""
    lines, told = [], []
    for number, system in enumerate(systems):
        run = dataclasses.replace(scenario, system=system).run(seed)
        run.save(folder / f"system_{number}")
        samples = run.samples[run.samples["gauge"].isin(["applied", "log"])]
        wide = samples.pivot_table(index="time", columns=["gauge", "node"], values="value")
        behind = wide["applied"]["n0"] - wide["applied"]["n2"]
        after = behind[(behind.index > BACK) & (behind <= 5)]
        sent = run.messages[(run.messages["dst"] == "n2") & (run.messages["sent"] >= BACK)]
        caught_up = sent[sent["kind"].isin(["Learned", "InstallSnapshot"])]
        lines.append((run.label, wide["log"]["n0"], float(caught_up["bytes"].sum())))
        told.append(
            f"{run.label}: {1e3 * (after.index[0] - BACK):.0f} ms and {caught_up['bytes'].sum() / 1e3:.1f} kB to catch "
            f"up, log of at most {wide['log']['n0'].max():.0f} slots"
        )
    save(draw(lines), folder / "snapshot_transfer.png")
    return f"{told[0]}.\n{'; '.join(told[1:])}."


def draw(lines: list[tuple[str, object, float]]) -> object:
    """The length of the leader's log over time, and what it cost to bring the replica up to date."""
    import matplotlib.pyplot as plt

    _, (above, below) = plt.subplots(
        2, 1, figsize=(6.4, 4.8), layout="constrained", gridspec_kw={"height_ratios": [3, 1]}
    )
    colours = ("#000000", "#0072B2", "#D55E00")
    for place, ((label, log, sent), colour) in enumerate(zip(lines, colours, strict=True)):
        above.plot(log, color=colour, label=label)
        below.barh(place, sent / 1e3, color=colour)
    above.set_yscale("log")
    above.set_ylim(bottom=10)
    above.set_xlabel("time (s)")
    above.set_ylabel("slots in the leader's log")
    above.axvspan(2.0, BACK, color="#D9D9D9", lw=0)
    above.text(2.1, above.get_ylim()[1], "n2 is down", va="top")
    above.legend(frameon=False, loc="lower right")
    below.invert_yaxis()
    below.set_yticks([])
    below.set_xlabel("sent to n2 to catch up (kB)")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return above


if __name__ == "__main__":
    main(__file__, scenario, tell)
