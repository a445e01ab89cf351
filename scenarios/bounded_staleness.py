"""Probabilistically bounded staleness: how long after a write nearly all readers see it, for each R and W.

Three replicas write to disks (LinkedIn's, as fitted in the paper). One client writes. Another client reads the same
key at another replica, some time after the write has returned. Quorums that do not intersect are quick, and their
reads are mostly fresh. Points are answers of our Dynamo; curves are the model of Bailis et al. (PVLDB 5(8), 2012) with
the same delays.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from sim import Scenario
from sim.analysis.pbs import Wars, sampled
from sim.analysis.plots import save
from sim.lab.story import main
from sim.network import Exponential, Mixture, Pareto, matrix
from sim.protocols import Dynamo
from sim.protocols.client import Retry
from sim.workload import ReadAfterWrite

# Table 3 of the paper, in seconds: write requests wait for disks, the other messages don't.
WRITES = Mixture(((0.62, Exponential(1e-3 / 0.183)), (0.38, Pareto(1.05e-3, 1.51))))
OTHERS = Mixture(((0.0878, Exponential(1e-3 / 1.66)), (0.9122, Pareto(0.235e-3, 10.0))))
REPLICAS = ("replica 0", "replica 1", "replica 2")
PLACES = (*REPLICAS, "writer", "reader")
WAITS = (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
QUORUMS = ((1, 1), (1, 2), (2, 1), (2, 2))
LEVEL = 0.999

scenario = Scenario(
    system=Dynamo(repair="off", handoff=False, sync_every=None, proxies=2, detection=1e5, grace=1e6),
    network=matrix(
        PLACES, [[WRITES if a == "writer" and b in REPLICAS else OTHERS for b in PLACES] for a in PLACES]
    ),
    workload=ReadAfterWrite(writer="p0", reader="p1", waits=WAITS, trials=8000, every=0.5),
    retry=Retry(timeout=1e5),
    duration=4100.0,
)

SHORT = {
    "workload": ReadAfterWrite(writer="p0", reader="p1", waits=WAITS, trials=400, every=0.5),
    "duration": 300.0,
}


def shares(operations: pd.DataFrame) -> pd.DataFrame:
    """For each wait: how many reads there were, and how many saw the write of their key."""
    put = operations[operations["kind"] == "put"].set_index("key")
    get = operations[(operations["kind"] == "get") & (operations["status"] == "ok")].set_index("key")
    waited = (get["called"] - put["returned"].reindex(get.index)).round(9)
    saw = get["value"] == put["value"].reindex(get.index)
    return saw.groupby(waited).agg(["sum", "count"])


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each choice of R and W; draw the share of consistent reads, measured and predicted."""
    measured: dict[tuple[int, int], pd.DataFrame] = {}
    predicted: dict[tuple[int, int], Wars] = {}
    for r, w in QUORUMS:
        system = dataclasses.replace(scenario.system, r=r, w=w)  # type: ignore[type-var]
        run = dataclasses.replace(scenario, system=system).run(seed)
        run.save(folder / f"R{r}_W{w}")
        measured[r, w] = shares(run.operations)
        predicted[r, w] = sampled(
            WRITES, OTHERS, OTHERS, OTHERS, n=3, reads=r, writes=w, trials=300_000, seed=seed
        )
    save(draw(measured, predicted), folder / "bounded_staleness.png")
    far = max(
        abs(row["sum"] / row["count"] - predicted[q].consistent(float(t)))
        for q, found in measured.items()
        for t, row in found.iterrows()
    )
    after = {q: 1e3 * float(np.quantile(p.visible_after, LEVEL)) for q, p in predicted.items()}
    slow = {q: 1e3 * float(np.quantile(p.write_latency, LEVEL)) for q, p in predicted.items()}
    fewest = min(int(found["count"].min()) for found in measured.values())
    at_once = measured[1, 1].iloc[0]
    share = at_once["sum"] / at_once["count"]
    return (
        f"With R = W = 1 a read at once sees the write in {share:.0%} of cases, and {LEVEL:.1%} of reads do after "
        f"{after[1, 1]:.0f} ms; with R = 2, W = 1 after {after[2, 1]:.0f} ms, with R = W = 2 always.\n"
        f"Meeting costs writes {slow[2, 2]:.0f} ms instead of {slow[2, 1]:.0f} ms (their 99.9th percentile); measured "
        f"shares, of {fewest} trials each or more, are within {100 * far:.1f} points of the model."
    )


def wilson(seen: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """A 95 % interval of a share (Wilson 1927)."""
    centre, scale = (seen + z * z / 2) / (of + z * z), z / (of + z * z)
    spread = scale * float(np.sqrt(seen * (of - seen) / of + z * z / 4))
    return centre - spread, centre + spread


def draw(measured: dict[tuple[int, int], pd.DataFrame], predicted: dict[tuple[int, int], Wars]) -> object:
    """Share of consistent reads against the time since the write returned, and what each choice costs."""
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8), width_ratios=(1.7, 1), layout="constrained")
    t = np.linspace(0.0, np.sqrt(0.08), 300) ** 2
    for (quorum, found), colour, marker in zip(
        measured.items(), ("#0072B2", "#009E73", "#D55E00", "#CC79A7"), "os^D", strict=True
    ):
        name = f"R = {quorum[0]}, W = {quorum[1]}"
        left.plot(1e3 * t, [predicted[quorum].consistent(x) for x in t], color=colour, linewidth=1.4)
        share = (found["sum"] / found["count"]).to_numpy()
        low, high = np.array(
            [wilson(int(k), int(n)) for k, n in found[["sum", "count"]].itertuples(index=False)]
        ).T
        left.errorbar(
            1e3 * found.index.to_numpy(),
            share,
            yerr=[np.maximum(share - low, 0), np.maximum(high - share, 0)],
            fmt=marker,
            color=colour,
            markersize=4.5,
            clip_on=False,
            capsize=2,
            elinewidth=0.9,
            label=name,
        )
        read, write = (
            1e3 * float(np.quantile(x, LEVEL))
            for x in (predicted[quorum].read_latency, predicted[quorum].write_latency)
        )
        stale = 1e3 * float(np.quantile(predicted[quorum].visible_after, LEVEL))
        right.plot(read + write, stale, marker, color=colour, markersize=8, clip_on=False)
        right.annotate(
            name, (read + write, stale), (0, 9), textcoords="offset points", ha="center", fontsize=8
        )
    left.set_xscale("function", functions=(np.sqrt, np.square))
    left.set_xlim(0, 80)
    left.set_xticks([0, 1, 2, 5, 10, 20, 40, 80])
    left.set_ylim(0.4, 1.02)
    left.set_xlabel("time from the write's return to the read (ms)")
    left.set_ylabel("reads that see the write")
    left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    left.legend(
        frameon=False, loc="lower right", title="points: our Dynamo, 95 % intervals\ncurves: the model"
    )
    right.set_xlim(0, 28)
    right.set_ylim(-2, 60)
    right.set_xlabel("read + write latency,\n99.9th percentiles (ms)")
    right.set_ylabel(f"{LEVEL:.1%} of reads see it after (ms)")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#E6E6E6", linewidth=0.6)
        axes.set_axisbelow(True)
    return left


if __name__ == "__main__":
    main(__file__, scenario, tell)
