"""How long Raft's elections take, beside what has been published.

1. Closed forms of the thesis (chapter 9): the probability of a split vote, and the time to elect a leader.
2. The thesis' simulations on a WAN (its AvailSim): percentiles of the election time.
3. The measurements of the paper (figure 16 of the ATC'14 version), of which sentences in the text give numbers.

All on our own figure-2 node: only the interval of election timeouts is varied. The servers that are up boot at
once with fresh timers, as if they had just heard a heartbeat of a leader that is gone.

    python validation/raft_elections.py [trials]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from sim.cluster import Cluster
from sim.distributions import Constant, Distribution, Uniform
from sim.kernel import Streams
from sim.network.topology import lan
from sim.protocols import Raft
from sim.protocols.command import NOOP
from sim.protocols.consensus.raft import Entry

TRIALS = 1000


@dataclass(frozen=True)
class Setup:
    """``n`` servers of which ``up`` run; log lengths of those; times in seconds."""

    n: int
    up: int
    latency: Distribution
    timeouts: tuple[float, float]
    logs: tuple[int, ...] = ()
    limit: float = 30.0


@dataclass(frozen=True)
class Election:
    """When a leader was elected (seconds after all timers were set), and whether the first vote was split."""

    elected: float
    split: bool


def elect(setup: Setup, seed: int) -> Election:
    """One election."""
    shortest, longest = setup.timeouts
    spread = longest / shortest
    system = Raft(nodes=setup.n, heartbeat=shortest / 2, detection=shortest, timeout_spread=spread)
    cluster = Cluster(lan(setup.latency), seed)
    for member in system.members():
        cluster.add(member, place="lan", settings=system)
    hosts = list(cluster.hosts.values())[: setup.up]
    for host, length in zip(hosts, setup.logs or [0] * setup.up, strict=True):
        host.boot()
        node: Any = host.node
        node.log.extend(Entry.of(0, NOOP) for _ in range(length))
        node.reset_election_timer()  # the first server's is immediate otherwise
    nodes: list[Any] = [host.node for host in hosts]
    while cluster.env.now < setup.limit and not any(node.role == "leader" for node in nodes):
        cluster.env.step()
    events = cluster.recorder.events
    leaders = [(time, detail["term"]) for time, _, event, detail in events if event == "elected"]
    time, term = leaders[0] if leaders else (float("inf"), 0)
    return Election(time, term != 1)


def many(setup: Setup, trials: int) -> list[Election]:
    """Elections under the seeds 0, 1, ..."""
    return [elect(setup, seed) for seed in range(trials)]


def show(rows: Sequence[tuple[str, float, float, float]], unit: str) -> None:
    """Name, published value, ours with the half width of its 95 % interval, deviation."""
    print(f"  {'':34} {'published':>10} {'ours':>10}   ±95 %  deviation   [{unit}]")
    for name, published, ours, half in rows:
        off = f"{100 * (ours / published - 1):+.1f} %" if published else ""
        print(f"  {name:34} {published:10.3f} {ours:10.3f} {half:8.3f}  {off}")


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean (normal)."""
    return 1.96 * statistics.stdev(values) / len(values) ** 0.5


# 1. Closed forms


def split_probability(n: int, up: int, ratio: float) -> float:
    """The chance of a split vote among ``up`` of ``n`` servers; ``ratio``: latency / range of timeouts."""
    needed = up - n // 2
    return sum(comb(up, k) * ratio**k * (1 - ratio) ** (up - k) for k in range(needed, up + 1))


def expected_election(n: int, up: int, ratio: float) -> float:
    """The mean time to a leader in ranges, for timeouts in [1, 2] ranges and fresh timers."""
    split = split_probability(n, up, ratio)
    return (1 + 1 / (up + 1) + ratio) / (1 - split) + ratio


def closed_forms(trials: int) -> None:
    """Split votes and mean times against the formulas."""
    spans = 0.1
    splits, times = [], []
    for n, up, ratio in ((5, 4, 0.01), (5, 4, 0.1), (5, 4, 0.2), (5, 3, 0.2), (9, 7, 0.2), (9, 5, 0.2)):
        setup = Setup(n, up, Constant(ratio * spans), (spans, 2 * spans))
        runs = many(setup, trials)
        share = statistics.mean(run.split for run in runs)
        error = 1.96 * (share * (1 - share) / trials) ** 0.5
        name = f"{up} of {n} up, latency {ratio:g} of range"
        splits.append((name, split_probability(n, up, ratio), share, error))
        elected = [run.elected / spans for run in runs]
        times.append((name, expected_election(n, up, ratio), statistics.mean(elected), half_width(elected)))
    print("Split votes (thesis, 9.2)")
    show(splits, "probability")
    print("Mean time to a leader, fresh timers (thesis, 9.2)")
    show(times, "ranges")


# 2. The thesis' simulations on a WAN

WAN = {
    "same logs, none down": (430.0, 409.5, 445.7, 489.2, 833.7),
    "same logs, one down": (468.6, 423.3, 474.1, 563.0, 1006.8),
    "different logs, none down": (492.6, 470.7, 538.8, 613.9, 943.3),
    "different logs, one down": (550.4, 501.9, 599.4, 782.4, 1315.3),
}


def wide_area(trials: int) -> None:
    """5 servers, one-way U[30, 40] ms, timeouts U[300, 600] ms."""
    print("Election times on a WAN (thesis, 9.3: 5 servers, one-way 30-40 ms, timeouts 300-600 ms)")
    for name, published in WAN.items():
        up = 4 if name.endswith("logs, one down") else 5
        rows = []
        elected = []
        order = Streams(0)["logs"]
        for seed in range(trials):
            lengths = tuple(order.sample(range(5), up)) if "different" in name else ()
            setup = Setup(5, up, Uniform(0.030, 0.040), (0.3, 0.6), lengths)
            elected.append(1000 * elect(setup, seed).elected)
        cuts = statistics.quantiles(elected, n=100)
        ours = (statistics.mean(elected), cuts[49], cuts[74], cuts[89], cuts[98])
        for what, theirs, value in zip(("mean", "p50", "p75", "p90", "p99"), published, ours, strict=True):
            rows.append((f"{name}, {what}", theirs, value, half_width(elected) if what == "mean" else 0.0))
        show(rows, "ms")


# 3. Measured on a LAN


def measured(trials: int) -> None:
    """5 servers, the leader crashes, 2 of the 4 others cannot win; a broadcast and its answers take 15 ms.

    The crash falls uniformly into the heartbeat interval, half the shortest timeout. The time runs from the
    crash to the new leader's first heartbeat at the followers. The paper does not say how much of the 15 ms is
    network and how much the voters' disks. Only the network's part lets votes split, so two extremes are shown,
    0.5 ms and 7.5 ms one way: what was measured must lie between them.
    """
    print("Leader crash to new leader (paper, 9.3; 2 of the 4 survivors can win)")
    lines: dict[str, list[float]] = {name: [published] for name, published in MEASURED.items()}
    for one_way in (0.0005, 0.0075):
        few = after_crash(0.150, 0.155, one_way, trials)
        some = after_crash(0.150, 0.200, one_way, trials)
        fast = after_crash(0.012, 0.024, one_way, trials)
        ours = (statistics.median(few), max(some), statistics.mean(fast), max(fast))
        for line, value in zip(lines.values(), ours, strict=True):
            line.append(value)
    print(f"  {'':34} {'published':>10} {'0.5 ms':>10} {'7.5 ms':>10}   between   [ms]")
    for name, (published, low, high) in lines.items():
        print(f"  {name:34} {published:10.0f} {low:10.0f} {high:10.0f}   {low <= published <= high}")
    for one_way in (0.0005, 0.0075):
        never = sum(time > 10_000 for time in after_crash(0.150, 0.150, one_way, 20, limit=11.0))
        print(f"  150-150 ms ('consistently longer than 10 s'): {never} of 20 at {1000 * one_way} ms one way")


MEASURED = {
    "150-155 ms, median": 287.0,
    "150-200 ms, worst of 1000": 513.0,
    "12-24 ms, mean": 35.0,
    "12-24 ms, worst of 1000": 152.0,
}


def after_crash(
    shortest: float, longest: float, one_way: float, count: int, limit: float = 30.0
) -> list[float]:
    """Milliseconds from the crash of the leader to the first heartbeat of the next."""
    offset = Streams(0)["crash"]
    setup = Setup(5, 4, Constant(one_way), (shortest, longest), (2, 2, 1, 1), limit)
    return [
        1000 * (elect(setup, seed).elected + one_way - offset.uniform(0.0, shortest / 2))
        for seed in range(count)
    ]


def main(trials: int = TRIALS) -> None:
    """Print the three comparisons."""
    closed_forms(trials)
    wide_area(trials)
    measured(trials)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
