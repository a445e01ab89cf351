"""Partial partitions: which protocols with a leader go on while one server alone is connected to a majority.

Omni-Paxos (Ng, Haridi, Carbone, EuroSys 2023, figure 5) names three. Quorum loss: only the links of one server are
left. Constrained election: the same, with a dead leader and a server that is behind the others. Chained: three servers
in a row, of which an end led; here also without load, when no log is behind. Beside them a server that hears nothing,
but is heard. All have the same detection timeout T. Our Multi-Paxos stands still beside the deaf server, because each
of its Prepares restarts the others' wait for a leader (tests/paper/test_omnipaxos_paper.py tries it without).
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sim import Scenario, System
from sim.analysis.plots import save
from sim.analysis.plots.style import PALETTE
from sim.faults import ChainedCut, ConstrainedElection, Fault, Partition, QuorumLoss
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import MultiPaxos, OmniPaxos, Raft, ViewstampedReplication
from sim.protocols.client import Retry
from sim.workload import ClosedLoop, UniformKeys

FIGURE_2, PRE_VOTE = "Raft, figure 2", "Raft, PreVote"
SYSTEMS: dict[str, System] = {
    FIGURE_2: Raft(),
    PRE_VOTE: Raft(pre_vote=True),
    "Raft, CheckQuorum": Raft(check_quorum=True),
    "Raft, both": Raft(pre_vote=True, check_quorum=True),
    "VR": ViewstampedReplication(),
    "Multi-Paxos": MultiPaxos(),
    "Omni-Paxos": OmniPaxos(),
}
HEARTBEAT, T = 0.02, 0.2
AT = 2.0
LASTS = 60.0
FIVE = ("n1", "n2", "n3", "n4", "n0")  # n0 leads; n1 is the server in the middle


@dataclass(frozen=True)
class Case:
    """What is cut, in a group of so many servers; how long (seconds) each of five clients thinks between two writes."""

    fault: Fault
    nodes: int = 5
    think: float = 0.25


def cases() -> dict[str, Case]:
    """The cuts, from `AT` for `LASTS` seconds."""
    chain = ChainedCut(at=AT, duration=LASTS, members=("n0", "n1", "n2"))
    behind = ConstrainedElection(at=AT, duration=LASTS, members=FIVE, behind=0.15)
    deaf = Partition((("n0", "n1", "n2", "n3"), ("n4",)), at=AT, duration=LASTS, one_way=True)
    return {
        "quorum loss": Case(QuorumLoss(at=AT, duration=LASTS, members=FIVE)),
        "constrained": Case(behind),
        "chained": Case(chain, nodes=3),
        "chained, idle": Case(chain, nodes=3, think=8.0),
        "deaf server": Case(deaf),
    }


scenario = Scenario(
    system=OmniPaxos(nodes=5),
    network=lan(Exponential(0.001)),
    workload=ClosedLoop(clients=5, keys=UniformKeys(100), reads=0.0),
    retry=Retry(timeout=0.1, backoff=0.02, backoff_max=0.1),
    duration=AT + LASTS,
)

SHORT = {
    "LASTS": 8.0,
    "SYSTEMS": {name: SYSTEMS[name] for name in (FIGURE_2, PRE_VOTE, "Multi-Paxos", "Omni-Paxos")},
}


def run(scenario: Scenario, system: System, case: Case, seed: int) -> dict[str, float]:
    """Whether writes are answered in the second half of the cut; the longest outage, in T; how many leaders it took."""
    done = dataclasses.replace(
        scenario,
        system=system.changed(nodes=case.nodes, heartbeat=HEARTBEAT, detection=T),
        workload=dataclasses.replace(scenario.workload, think=case.think),
        faults=[case.fault],
        duration=AT + LASTS,
    ).run(seed)
    answered = done.operations.loc[done.operations["status"] == "ok", "returned"]
    summary = done.summary()
    return {
        "progress": float((answered > AT + LASTS / 2).any()),
        "outage": float(summary["unavailability"]) / T,
        "leaders": float(summary["elections"]),
    }


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each system in each cut; draw the table."""
    rows = [
        {"system": name, "cut": cut, **run(scenario, system, case, seed)}
        for cut, case in cases().items()
        for name, system in SYSTEMS.items()
    ]
    table = pd.DataFrame(rows).set_index(["system", "cut"])
    table.to_csv(folder / "partial_partitions.csv")
    save(draw(table), folder / "partial_partitions.png")
    goes_on = table["progress"].groupby("system").sum()
    counted = ", ".join(f"{name} {goes_on[name]:.0f}" for name in SYSTEMS)
    omni = table.loc["Omni-Paxos"]
    loaded = omni.drop("chained, idle")
    swings = {cut: table["leaders"].xs(cut, level="cut") for cut in cases()}
    return (
        f"Cuts of {len(swings)} in which writes go on: {counted}.\n"
        f"Omni-Paxos is without an answer for {loaded['outage'].max():.1f} T at most, and elects "
        f"{omni['leaders'].max():.0f} leader at most; in a chain "
        f"Multi-Paxos elects {swings['chained']['Multi-Paxos']:.0f}, "
        f"Raft of figure 2 {swings['chained'][FIGURE_2]:.0f} with load and "
        f"{swings['chained, idle'][FIGURE_2]:.0f} without; a deaf server makes it elect "
        f"{swings['deaf server'][FIGURE_2]:.0f}, with PreVote {swings['deaf server'][PRE_VOTE]:.0f}."
    )


def draw(table: pd.DataFrame) -> object:
    """A row for each system, a column for each cut."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    good, swinging, bad = PALETTE[2], PALETTE[4], PALETTE[1]
    columns = list(cases())
    _, ax = plt.subplots(figsize=(9.0, 3.6), layout="constrained")
    for x, cut in enumerate(columns):
        for y, name in enumerate(SYSTEMS):
            row = table.loc[(name, cut)]
            stable = row["leaders"] <= 2
            colour = bad if not row["progress"] else good if stable else swinging
            ax.add_patch(Rectangle((x - 0.48, y - 0.45), 0.96, 0.9, facecolor=colour, alpha=0.3))
            leaders = f"{row['leaders']:.0f} new leader" + ("" if row["leaders"] == 1 else "s")
            text = f"{leaders}, {row['outage']:.1f} T" if row["progress"] else "stands still"
            ax.text(x, y, text, ha="center", va="center", fontsize=8)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(SYSTEMS) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(SYSTEMS)), list(SYSTEMS))
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel(
        f"new leaders and longest time without an answer during the cut of {LASTS:.0f} s, in T = {T} s"
    )
    return ax


if __name__ == "__main__":
    main(__file__, scenario, tell)
