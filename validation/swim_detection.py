"""SWIM's first detection of a crash, against Das, Gupta, Motivala (DSN 2002): python validation/swim_detection.py

Each of n members pings one other per protocol period, drawn at random. A crash is first found in a period of its
detector with probability p = 1 - (1 - 1/(n-1))^(n-1), independently of the periods before: the mean is 1/p periods,
which tends to e/(e-1) = 1.582. With the round-robin order every member is reached within 2n - 1 periods.

Many crashes are measured in one run: one member after the other crashes, everybody is given time to find it, it comes
back, everybody hears of that. Suspicion, dissemination and exchange of lists are as in the paper (no suspicion: who
fails to answer is reported at once).
"""

from __future__ import annotations

import math

import numpy as np

from sim import Scenario
from sim.faults import Crash
from sim.network import constant
from sim.protocols import Swim
from sim.workload import NoLoad

PUBLISHED = {10: 1.5301, 50: 1.5726, 500: 1.5811}
PERIOD, DOWN, EVERY = 1.0, 13.0, 20.0  # seconds: that nobody looks for 12 periods has a probability of 3e-6
GOLDEN, SILVER = (math.sqrt(5.0) - 1.0) / 2.0, math.sqrt(2.0) - 1.0


def expected(n: int) -> float:
    """The mean number of periods until some member pings the crashed one."""
    return 1.0 / (1.0 - (1.0 - 1.0 / (n - 1)) ** (n - 1))


def detections(n: int, crashes: int, seed: int, order: str = "random") -> list[list[int]]:
    """For each crash: how many periods after it everyone who reported it had begun to look, in order."""
    members = [f"n{i}" for i in range(n)]
    # Crashes and restarts (from which on a member's periods count) at phases that have nothing to do with each other.
    faults = [
        Crash(members[i % n], at=(i + 0.3) * EVERY + (i * GOLDEN) % 1.0, down=DOWN + (i * SILVER) % 1.0)
        for i in range(crashes)
    ]
    scenario = Scenario(
        system=Swim(nodes=n, period=PERIOD, timeout=0.3, order=order, suspicion=None, k=1, sync_every=None),
        network=constant(1e-6),
        workload=NoLoad(),
        faults=faults,
        duration=(crashes + 1) * EVERY,
    )
    run = scenario.run(seed)
    confirmed = run.events[run.events["event"] == "confirm"]
    times = confirmed["time"].to_numpy(dtype=float)
    peers = np.array([d["peer"] for d in confirmed["detail"]])
    found = []
    for fault in faults:
        mine = times[(peers == fault.target) & (times > fault.at) & (times < fault.at + DOWN)]
        # A ping that is not answered is reported at the end of its period, one period after it was sent.
        found.append(sorted(math.ceil((t - PERIOD - fault.at) / PERIOD) for t in mine))
    return found


def first_detection(n: int, *campaigns: tuple[int, int]) -> tuple[float, float]:
    """Mean number of periods until the first detection, and its standard error, over runs of (seed, crashes)."""
    firsts = [found[0] for seed, crashes in campaigns for found in detections(n, crashes, seed)]
    return float(np.mean(firsts)), float(np.std(firsts, ddof=1) / math.sqrt(len(firsts)))


CAMPAIGNS = {10: ((1, 4000),), 50: ((1, 1000),), 500: ((1, 100), (2, 150))}
"""n -> (seed, crashes) of each run."""

if __name__ == "__main__":
    print("| n | published | closed form | ours (standard error) | crashes |")
    print("|---|---|---|---|---|")
    for n, campaigns in CAMPAIGNS.items():
        mean, error = first_detection(n, *campaigns)
        crashes = sum(count for _, count in campaigns)
        print(f"| {n} | {PUBLISHED[n]} | {expected(n):.4f} | {mean:.3f} ({error:.3f}) | {crashes} |")
