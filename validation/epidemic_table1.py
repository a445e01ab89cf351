"""Pushed rumours against table 1 of Demers et al. (1987): python validation/epidemic_table1.py

1000 sites, one update, k = 1, 2, 3: the residue *s* (share of sites that are never told), the traffic *m* (updates sent
per site), and *t_last*, the cycle in which the last site that is told is told. The protocol runs in the simulator:
synchronous cycles of a second, every message takes a millisecond. Also the law s = exp(-m) of section 1.4, which holds
for every way of losing interest in a pushed rumour.

The paper's t_ave is left out: an independent simulation of the protocol as described gives about 10 where it prints 11
to 12.5, with the other three columns as printed.
"""

from __future__ import annotations

import math

import numpy as np

from sim import Scenario
from sim.network import constant
from sim.protocols import Gossip, Mongering
from sim.workload import NoLoad

SITES = 1000
PUBLISHED = {1: (0.18, 1.7, 16.8), 2: (0.037, 3.3, 16.9), 3: (0.011, 4.5, 17.4)}
"""k -> (s, m, t_last)."""


def spread(
    mongering: Mongering, seed: int, sites: int = SITES, cycles: int = 60
) -> tuple[float, float, float]:
    """Residue, traffic and last delivery (cycles) of one rumour."""
    scenario = Scenario(
        system=Gossip(nodes=sites, mongering=mongering, anti_entropy=None, cycle=1.0, synchronous=True),
        network=constant(0.001),
        workload=NoLoad(),
        duration=float(cycles),
    )
    simulation = scenario.start(seed)
    simulation.run(until=0.5)  # within cycle 0; the first push is in cycle 1
    simulation.nodes["n0"].epidemic.write("rumour", 1)  # type: ignore[attr-defined]
    simulation.run()
    assert not any(node.epidemic.hot for node in simulation.members.values()), "it still spreads"  # type: ignore[attr-defined]
    simulation.finish()
    learned = [time for time, _, event, _ in simulation.recorder.events if event == "learned"]
    messages = sum(row[4] for row in simulation.recorder.links)
    sent = messages / 2 if mongering.feedback else messages  # each is answered by a feedback
    return 1.0 - len(learned) / sites, sent / sites, math.floor(max(learned))


def table(
    mongering: Mongering, runs: int, seed: int = 1, sites: int = SITES
) -> tuple[np.ndarray, np.ndarray]:
    """Means of (s, m, t_last) over independent runs, and their standard errors."""
    rows = np.array([spread(mongering, seed + i, sites) for i in range(runs)])
    return rows.mean(axis=0), rows.std(axis=0, ddof=1) / math.sqrt(runs)


if __name__ == "__main__":
    print("| k | s published | ours | m published | ours | t_last published | ours | exp(-m) |")
    print("|---|---|---|---|---|---|---|---|")
    for k, published in PUBLISHED.items():
        mean, error = table(Mongering("push", k=k), runs=40)
        cells = [f"{p:g} | {m:.4g} ± {e:.2g}" for p, m, e in zip(published, mean, error, strict=True)]
        print(f"| {k} | {' | '.join(cells)} | {math.exp(-mean[1]):.4f} |")
