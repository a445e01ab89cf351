"""LeaseGuard: the log is the lease, so a new leader reads at once and commits as soon as the old lease is over.

The three experiments of Davis, Demirbas and Deng (SIGMOD 2026), for which the authors wrote a simulator of 2,800 lines.
Availability: the leader crashes, another one is elected half a lease later. Latency: reads by quorum or by lease, for
several one-way delays. Skew: of the reads under an inherited lease, those of keys that a hundred writes in limbo touch
must wait; their share has a closed form.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from sim import Run, Scenario
from sim.analysis.plots import save
from sim.analysis.plots.style import PALETTE
from sim.cluster import Disk, Machine
from sim.faults import Crash, Partition
from sim.lab.story import main
from sim.network import constant
from sim.protocols import Raft
from sim.protocols.client import Retry
from sim.workload import OpenLoop, UniformKeys, Zipf

LEASE, CRASH, ELECTED_AFTER = 1.0, 1.0, 0.5
KEYS = 1000
GUARD = Raft(nodes=3, reads="leaseguard", lease=LEASE, clock_error=200e-6)
WAYS = {
    "quorum": Raft(nodes=3, reads="index"),
    "lease": GUARD.changed(deferred_commit=False, inherited_reads=False),
    "deferred commit": GUARD.changed(inherited_reads=False),
    "inherited reads": GUARD,
}
DELAYS = (0.001, 0.005, 0.010)
SKEWS = (0.0, 0.5, 1.0, 1.5, 2.0)

scenario = Scenario(
    system=GUARD,
    network=constant(191e-6),
    workload=OpenLoop(clients=10, rate=1000.0, arrivals="constant", keys=UniformKeys(KEYS), reads=2 / 3),
    machines=Machine(disk=Disk(fsync=250e-6)),
    retry=Retry(timeout=0.1, backoff=0.02, backoff_max=0.1, deadline=1.0),
    faults=[Crash("n0", at=CRASH)],
    duration=3.0,
)

SHORT = {
    "workload": dataclasses.replace(scenario.workload, rate=150.0),
    "DELAYS": (0.001, 0.010),
    "SKEWS": (0.0, 2.0),
}


def run(scenario: Scenario, system: Raft, seed: int, **fields: object) -> Run:
    """Both followers time out within 10 ms of one another, `ELECTED_AFTER` seconds after the last heartbeat."""
    timed = system.changed(heartbeat=0.01, detection=ELECTED_AFTER, timeout_spread=1.02)
    return dataclasses.replace(scenario, system=timed, **fields).run(seed)  # type: ignore[arg-type]


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run the three experiments; draw them side by side."""
    runs = {name: run(scenario, system, seed) for name, system in WAYS.items()}
    gaps = {
        name: done.summary()[["unavailability_reads", "unavailability_writes"]] for name, done in runs.items()
    }
    assert all(done.check().status == "valid" for done in runs.values())
    writes = runs["inherited reads"].operations.query("kind == 'put' and status == 'ok'")["returned"]
    together = int(writes.groupby((writes / 0.002).round()).size().max())
    latency = pd.DataFrame([latencies(scenario, delay, seed) for delay in DELAYS]).set_index("delay")
    skew = pd.DataFrame([limbo(scenario, exponent, seed) for exponent in SKEWS]).set_index("exponent")
    for name, table in (("latency", latency), ("skew", skew)):
        table.to_csv(folder / f"{name}.csv")
    save(draw(runs, latency, skew), folder / "leaseguard.png")
    outages = ", ".join(
        f"{name} {1e3 * gap.iloc[0]:.0f} and {1e3 * gap.iloc[1]:.0f}" for name, gap in gaps.items()
    )
    return (
        f"Without an answered read and write (ms): {outages}; then {together} deferred writes are answered in 2 ms.\n"
        f"With {1e3 * DELAYS[-1]:.0f} ms one way a read takes {1e3 * latency['quorum'].iloc[-1]:.1f} ms by quorum and "
        f"{1e3 * latency['lease'].iloc[-1]:.1f} ms by lease; of the reads under an inherited lease "
        f"{100 * skew['served'].iloc[0]:.0f} % are served with equal keys, {100 * skew['served'].iloc[-1]:.0f} % with "
        f"Zipf({SKEWS[-1]:g}); most off the closed form: "
        f"{100 * (skew['served'] - skew['expected']).abs().max():.1f} points."
    )


def latencies(scenario: Scenario, delay: float, seed: int) -> dict[str, float]:
    """The p90 of reads by quorum and by lease of clients beside the leader, seconds."""
    quiet = {
        "network": constant(delay),
        "faults": (),
        "workload": OpenLoop(clients={"n0": 10}, rate=300.0, keys=UniformKeys(KEYS), reads=2 / 3),
        "retry": Retry(),
        "warmup": 0.5,
    }
    found = {"delay": delay}
    for name, way in (("quorum", "quorum"), ("lease", "inherited reads")):
        done = run(scenario, WAYS[way], seed, **quiet).operations
        found[name] = float(done.query("kind == 'get' and called > 0.5")["latency"].quantile(0.9))
    return found


def limbo(scenario: Scenario, exponent: float, seed: int) -> dict[str, float]:
    """The share of reads served under an inherited lease, and the closed form for the writes that were in limbo."""
    cut = 0.4  # for that long followers accept writes, and the leader gets no acknowledgement
    deaf = Partition((("n1", "n2"), ("n0",)), at=CRASH - cut, one_way=True)
    system = GUARD.changed(lease=2 * LEASE, window=2000)  # clients that ask again make further entries
    impatient = {
        "retry": Retry(timeout=0.04, backoff=0.01, deadline=0.1),
        "faults": [deaf, Crash("n0", at=CRASH)],
    }
    load = dataclasses.replace(scenario.workload, rate=750.0, keys=Zipf(KEYS, exponent))
    operations = run(scenario, system, seed, workload=load, **impatient).operations
    writes = operations.query("kind == 'put' and @CRASH - @cut < called < @CRASH")
    first, last = (
        CRASH + ELECTED_AFTER + 0.2,
        CRASH - cut + 2 * LEASE - 0.1,
    )  # the inherited lease, and a margin
    asked = operations[(operations["kind"] == "get") & operations["called"].between(first, last)]
    served = (asked["status"] == "ok").mean()
    weights = np.arange(1, KEYS + 1) ** -float(exponent)
    share = weights / weights.sum()
    expected = 1 - float((share * (1 - (1 - share) ** len(writes))).sum())
    return {"exponent": exponent, "writes": len(writes), "served": float(served), "expected": expected}


def draw(runs: dict[str, Run], latency: pd.DataFrame, skew: pd.DataFrame) -> object:
    """Answers over time (reads, writes), latency over the one-way delay, the share of reads over the skew."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(2, 2, figsize=(9.0, 5.4), layout="constrained")
    edges = np.arange(0.5, 3.01, 0.05)
    for ax, kind, name in ((axes[0, 0], "get", "reads"), (axes[1, 0], "put", "writes")):
        for number, (label, done) in enumerate(runs.items()):
            operations = done.operations
            answered = operations.loc[
                (operations["kind"] == kind) & (operations["status"] == "ok"), "returned"
            ]
            counts = np.histogram(answered, edges)[0] / 0.05
            ax.step(edges[:-1], counts, where="post", color=PALETTE[number], label=label, lw=1.2)
        ax.set(ylabel=f"{name} answered, 1/s", xlabel="time, s", yscale="symlog", ylim=(0, None))
    axes[0, 0].legend(fontsize=7, ncols=2)
    for number, name in enumerate(latency.columns):
        axes[0, 1].plot(
            1e3 * latency.index, 1e3 * latency[name], "o-", color=PALETTE[3 * number], label=f"by {name}"
        )
    axes[0, 1].set(xlabel="one-way delay, ms", ylabel="p90 of reads, ms")
    axes[0, 1].legend(fontsize=7)
    axes[1, 1].plot(skew.index, skew["expected"], color="0.5", label="closed form")
    axes[1, 1].plot(skew.index, skew["served"], "o", color=PALETTE[3], label="simulated")
    axes[1, 1].set(xlabel="Zipf exponent of the keys", ylabel="inherited reads served", ylim=(0, 1))
    axes[1, 1].legend(fontsize=7)
    return axes[0, 0]


if __name__ == "__main__":
    main(__file__, scenario, tell)
