"""What order costs: the price of broadcast guarantees.

The same writes and reads in five regions, with one message in twenty lost, run over each broadcast. How long does the
delivery of a message take, how many messages does it cost, and which consistency do clients get?
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot

from sim import Scenario
from sim.analysis.plots import grouped_bars, save
from sim.analysis.plots.style import PALETTE, SHADE, dress
from sim.lab.story import main
from sim.network import wan
from sim.protocols import BroadcastStore
from sim.workload import OpenLoop, UniformKeys

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland")
SYSTEMS = {
    "best-effort": BroadcastStore(nodes=5, order="best-effort"),
    "reliable": BroadcastStore(nodes=5, order="reliable"),
    "uniform": BroadcastStore(nodes=5, order="uniform"),
    "FIFO": BroadcastStore(nodes=5, order="fifo"),
    "causal": BroadcastStore(nodes=5, order="causal"),
    "total,\nsequencer": BroadcastStore(nodes=5, order="sequencer"),
    "total,\nRaft": BroadcastStore(nodes=5, order="total"),
    "total, Raft,\nordered reads": BroadcastStore(nodes=5, order="total", reads="ordered"),
}
MODELS = ("read-your-writes", "pram", "CM", "sequential", "linearizable")
NAMES = ("read your writes", "PRAM", "causal", "sequential", "linearizable")

scenario = Scenario(
    system=BroadcastStore(nodes=5),
    network=wan(*REGIONS, loss=0.05),
    workload=OpenLoop(clients=20, rate=200.0, keys=UniformKeys(4), reads=0.7),
    duration=8.0,
    leader="virginia",
)

SHORT = {"duration": 0.8, "SEEDS": 1}
SEEDS = 6


def deliveries(run: Any) -> pd.DataFrame:
    """Each delivery: seconds since the broadcast, and whether it is at the origin."""
    begun: dict[tuple[str, int], float] = {}
    rows = []
    for time, node, event, detail in run.events[["time", "node", "event", "detail"]].itertuples(index=False):
        if event in ("broadcast", "deliver"):
            dot = (detail.get("origin"), detail.get("number"))
            if event == "broadcast":
                begun[dot] = time
            else:
                rows.append((time - begun[dot], node == dot[0]))
    return pd.DataFrame(rows, columns=["latency", "own"])


def judge(runs: list[Any], model: str) -> str:
    """Whether the history satisfies the model: kept, broken, or undecided if the search used up its budget."""
    found = [run.check(model).status for run in runs]
    return "broken" if "invalid" in found else "kept" if set(found) == {"valid"} else "undecided"


def draw(latency: pd.DataFrame, messages: pd.DataFrame, holds: pd.DataFrame, path: Path) -> None:
    """Three panels above each other, with a column for each order."""
    _, axes = pyplot.subplots(
        3, 1, figsize=(8.6, 8.4), layout="constrained", gridspec_kw={"height_ratios": [3, 3, 2]}
    )
    grouped_bars(latency, "delivered after (ms, median)", ax=axes[0])
    grouped_bars(messages, "messages per broadcast\n(acknowledgements included)", ax=axes[1])
    for ax in axes[:2]:
        ax.margins(y=0.12)
    ax = axes[2]
    dress(ax)
    ax.grid(False)
    for row, model in enumerate(holds.columns):
        for column, order in enumerate(holds.index):
            text = str(holds.loc[order, model])
            good = text == "kept"
            box = pyplot.Rectangle(
                (column - 0.46, row - 0.42), 0.92, 0.84, color=PALETTE[2] if good else SHADE
            )
            ax.add_patch(box)
            colour = "white" if good else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    ax.set_xlim(-0.5, len(holds.index) - 0.5)
    ax.set_ylim(len(holds.columns) - 0.5, -0.5)
    ax.set_xticks(np.arange(len(holds.index)), list(holds.index))
    ax.set_yticks(np.arange(len(holds.columns)), list(holds.columns))
    ax.tick_params(length=0)
    ax.set_ylabel("what clients saw")
    save(axes, path)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each order; measure deliveries and messages, and judge what clients saw."""
    latency, messages, holds = {}, {}, {}
    for name, system in SYSTEMS.items():
        runs = [dataclasses.replace(scenario, system=system).run(seed + k) for k in range(SEEDS)]
        found = pd.concat([deliveries(run) for run in runs]).astype({"own": bool})
        latency[name] = {
            "at its origin": 1e3 * found[found["own"]]["latency"].median(),
            "elsewhere": 1e3 * found[~found["own"]]["latency"].median(),
        }
        links = pd.concat([run.links for run in runs])
        between = links[(links["src_role"] == "replica") & (links["dst_role"] == "replica")]
        total = between[between["src"] != between["dst"]]["messages"].sum()
        messages[name] = {"all that replicas send each other": total / found["own"].sum()}
        holds[name] = {shown: judge(runs, model) for model, shown in zip(MODELS, NAMES, strict=True)}
    tables = [pd.DataFrame(table).T for table in (latency, messages, holds)]
    pd.concat(tables, axis=1).rename(index=lambda n: n.replace("\n", " ")).to_csv(folder / "orders.csv")
    draw(*tables, folder / "order.png")
    causal, total_order = latency["causal"], latency["total,\nRaft"]
    strongest = {name.replace("\n", " "): list(found.values()).count("kept") for name, found in holds.items()}
    return (
        f"Causal order delivers elsewhere after {causal['elsewhere']:.0f} ms and at its origin at once; a total order "
        f"by Raft after {total_order['elsewhere']:.0f} ms and {total_order['at its origin']:.0f} ms.\n"
        f"Of {len(MODELS)} consistency models, this many hold: "
        + "; ".join(f"{name} {kept}" for name, kept in strongest.items())
        + "."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
