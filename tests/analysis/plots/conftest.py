"""Frames that look like those of real runs, made by a small model: what charts are drawn from in these tests."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from sim.analysis.measures import summary

DURATION = 30.0
# run → (median latency, spread of its logarithm, outage after the crash at 10 s, share of victims never answered)
SYSTEMS = {
    "Raft": (0.082, 0.22, 1.7, 0.02),
    "MultiPaxos": (0.079, 0.22, 1.5, 0.02),
    "PrimaryBackup(mode=sync)": (0.104, 0.3, 2.6, 0.03),
    "PrimaryBackup(mode=async)": (0.041, 0.35, 2.5, 0.25),
}


def _operations(run: str, seed: int, rate: float) -> pd.DataFrame:
    median, sigma, outage, unanswered = SYSTEMS[run]
    rng = np.random.default_rng([seed, list(SYSTEMS).index(run)])
    outage *= rng.uniform(0.8, 1.2)
    call = np.sort(rng.uniform(0.0, DURATION, rng.poisson(rate * DURATION)))
    latency = median * np.exp(sigma * rng.normal(size=len(call)))
    victim = (call > 10.0 - latency) & (call < 10.0 + outage)
    latency = np.where(victim, 10.0 + outage - call + rng.exponential(0.15, len(call)) + latency, latency)
    never = victim & (rng.uniform(size=len(call)) < unanswered)
    pending = call + latency >= DURATION
    gone = never | pending
    return pd.DataFrame(
        {
            "run": run,
            "seed": seed,
            "process": np.arange(len(call)) % 10,
            "kind": "put",
            "called": call,
            "returned": np.where(gone, math.nan, call + latency),
            "status": np.where(gone, "info", "ok"),
            "latency": np.where(gone, math.nan, latency),
            "attempts": np.where(victim, 3, 1),
        }
    )


def _events(run: str, seed: int) -> pd.DataFrame:
    outage = SYSTEMS[run][2]
    rows = [
        (0.4, "n0", "role", {"role": "leader"}),
        (10.0, "n0", "crash", {}),
        (10.0 + outage, "n1", "elected", {"term": 2}),
        (15.0, "n0", "restart", {}),
    ]
    return pd.DataFrame(rows, columns=["time", "node", "event", "detail"]).assign(run=run, seed=seed)


@pytest.fixture(scope="session")
def operations() -> pd.DataFrame:
    return pd.concat(
        [_operations(run, seed, 100.0) for run in SYSTEMS for seed in range(5)], ignore_index=True
    )


@pytest.fixture(scope="session")
def events() -> pd.DataFrame:
    return pd.concat([_events(run, seed) for run in SYSTEMS for seed in range(5)], ignore_index=True)


@pytest.fixture(scope="session")
def summaries(operations: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (run, seed), mine in operations.groupby(["run", "seed"], sort=False):
        faults = events[(events["run"] == run) & (events["seed"] == seed)]
        found = summary(mine, faults, duration=DURATION, warmup=2.0)
        rows.append({"run": run, "seed": seed, **found.to_dict()})
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def sweep() -> pd.DataFrame:
    """An M/M/1-like hockey stick of three policies, four seeds; the last load of "random" is beyond its capacity."""
    rng = np.random.default_rng(4)
    rows = []
    for run, capacity in (("random", 900.0), ("round robin", 1000.0), ("two choices", 1080.0)):
        for load in (100, 300, 500, 700, 800, 850, 950):
            for seed in range(4):
                over = load >= capacity
                spare = max(capacity - load, 20.0)
                rows.append(
                    {
                        "run": run,
                        "seed": seed,
                        "rate": float(load),
                        "throughput": min(load, capacity * 0.97) * rng.normal(1.0, 0.005),
                        "p99": 4.6 / spare * rng.normal(1.0, 0.08) * (6 if over else 1),
                        "p99_at_least": float(over),
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def samples() -> pd.DataFrame:
    """Queue lengths of ten servers, one of them slow from 8 s to 20 s."""
    rng = np.random.default_rng(9)
    rows = []
    for server in range(10):
        length = 0.0
        for time in np.cumsum(rng.exponential(0.05, 580)):
            slow = server == 3 and 8.0 < time < 20.0
            length = max(0.0, length + rng.choice([-1, 1], p=[0.4, 0.6] if slow else [0.56, 0.44]))
            rows.append((float(time), f"s{server}", "queue", length))
    return pd.DataFrame(rows, columns=["time", "node", "gauge", "value"]).sort_values(
        "time", ignore_index=True
    )


@pytest.fixture(scope="session")
def election() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The messages and events of a Raft election after the leader crashed, with a loss and a message to the dead."""
    delta, nodes = 0.02, [f"n{i}" for i in range(5)]
    messages = [("AppendEntries", "n0", other, 0.01, 0.01 + delta, "delivered") for other in nodes[1:]]
    messages += [
        ("AppendReply", other, "n0", 0.01 + delta, 0.01 + 2 * delta, "delivered") for other in nodes[1:4]
    ]
    messages += [("AppendReply", "n4", "n0", 0.01 + delta, math.nan, "lost")]
    messages += [
        ("RequestVote", "n2", other, 0.22, 0.24, "crashed" if other == "n0" else "delivered")
        for other in ("n0", "n1", "n3", "n4")
    ]
    messages += [("Vote", other, "n2", 0.24, 0.26, "delivered") for other in ("n1", "n3", "n4")]
    messages += [("AppendEntries", "n2", other, 0.26, 0.28, "delivered") for other in ("n1", "n3", "n4")]
    events = [
        *((0.0, node, "role", {"role": "leader" if node == "n0" else "follower"}) for node in nodes),
        (0.05, "n0", "committed", {"index": 1}),
        (0.07, "n0", "crash", {}),
        (0.22, "n2", "role", {"role": "candidate"}),
        (0.26, "n2", "role", {"role": "leader"}),
        (0.26, "n2", "elected", {"term": 2}),
        (0.3, "n0", "restart", {}),
        (0.3, "n0", "role", {"role": "follower"}),
    ]
    sent = pd.DataFrame(messages, columns=["kind", "src", "dst", "sent", "delivered", "fate"])
    return sent, pd.DataFrame(events, columns=["time", "node", "event", "detail"])


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    yield
    from matplotlib import pyplot

    from sim.plot import style

    style("notebook")
    pyplot.close("all")
