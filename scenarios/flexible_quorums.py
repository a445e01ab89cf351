"""Flexible quorums trade elections for writes: the fewer replicas a write needs, the more an election does.

Multi-Paxos on five measured regions, with the leader in Virginia. Every phase-1 quorum must intersect every phase-2
quorum. Majorities are one way to do that; any q1 + q2 = 6 is another (Howard, Malkhi, Spiegelman 2016). Latencies are
measured in runs; the probability that enough replicas are up is computed.
"""

import dataclasses
from pathlib import Path

import numpy as np

from sim import Scenario
from sim.analysis.plots import save
from sim.lab.story import main
from sim.network import wan
from sim.protocols import MultiPaxos
from sim.protocols.quorum_measures import availability
from sim.protocols.quorums import Threshold
from sim.workload import OpenLoop, UniformKeys

NODES = 5
UP = 0.99

scenario = Scenario(
    system=MultiPaxos(nodes=NODES),
    network=wan("virginia", "california", "oregon", "tokyo", "ireland"),
    workload=OpenLoop(clients={"virginia": 2}, rate=20.0, keys=UniformKeys(100), reads=0.0),
    duration=20.0,
    leader="virginia",
)

SHORT = {"duration": 5.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run each split of the quorums; draw both latencies, and both probabilities of having no quorum."""
    sizes = range(1, NODES + 1)
    writes, elections, stuck = [], [], []
    for size in sizes:
        system = MultiPaxos(nodes=NODES, phase1=NODES + 1 - size, phase2=size)
        run = dataclasses.replace(scenario, system=system).run(seed)
        elected = run.events[run.events["event"] == "elected"]
        writes.append(float(run.operations["latency"].median()))
        elections.append(float(elected["time"].iloc[0]))
        names = [member.name for member in system.members()]
        stuck.append([1 - availability(Threshold(k), names, UP) for k in (size, NODES + 1 - size)])
        run.save(folder / f"phase2_{size}")
    save(draw(sizes, writes, elections, stuck), folder / "flexible_quorums.png")
    fast = writes[1] / writes[2]
    return (
        f"At the leader a write takes {1e3 * writes[2]:.0f} ms with majorities and {1e3 * writes[1]:.0f} ms with "
        f"phase2=2 ({fast:.0%}); its phase 1 takes {1e3 * elections[2]:.0f} and {1e3 * elections[1]:.0f} ms.\n"
        f"With replicas up {UP:.0%} of the time no leader can be elected for a fraction {stuck[2][1]:.1e} of it with "
        f"majorities, and {stuck[1][1]:.1e} with phase1=4."
    )


def draw(sizes: range, writes: list[float], elections: list[float], stuck: list[list[float]]) -> object:
    """Two panels over the size of the phase-2 quorum."""
    import matplotlib.pyplot as plt

    _, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 5.2), layout="constrained")
    above.plot(
        sizes, 1e3 * np.array(writes), "o-", color="#0072B2", label="write at the leader (phase 2), median"
    )
    above.plot(sizes, 1e3 * np.array(elections), "s--", color="#D55E00", label="election (phase 1)")
    above.set_ylabel("latency (ms)")
    chances = np.array(stuck)
    below.semilogy(sizes, chances[:, 0], "o-", color="#0072B2", label="no write possible")
    below.semilogy(sizes, chances[:, 1], "s--", color="#D55E00", label="no election possible")
    below.set_ylabel(f"fraction of time,\nreplicas up {UP:.0%}")
    below.set_xlabel("size of phase-2 quorums (phase-1 quorums: 6 minus that)")
    below.set_xticks(list(sizes))
    for axes in (above, below):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return above


if __name__ == "__main__":
    main(__file__, scenario, tell)
