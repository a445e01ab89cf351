"""Gossip to 1,000 nodes: push, pull and both, against theory, and the members that a dying rumour misses.

A client writes at one member. All other members learn of the write in a logarithmic number of cycles. Pulling ends
quicker than pushing, because the members that do not know the update ask for it. When a rumour dies, some members have
not received it; how many depends on the traffic.
"""

import dataclasses
import math
from pathlib import Path

import pandas as pd

from sim import Run, Scenario
from sim.analysis.detection_measures import informed
from sim.analysis.plots import save
from sim.analysis.plots.membership import residue_by_traffic, share_informed
from sim.lab.story import main
from sim.network import constant
from sim.protocols import Gossip, Mongering
from sim.workload import ClosedLoop, UniformKeys

CYCLE = 1.0
STYLES = ("push", "pull", "push-pull")
WAYS = {
    "push, feedback, counter": Mongering("push"),
    "push, blind, counter": Mongering("push", feedback=False),
    "push, feedback, coin": Mongering("push", stop="coin"),
    "pull, feedback, counter": Mongering("pull"),
}

scenario = Scenario(
    system=Gossip(nodes=1000, anti_entropy=None, cycle=CYCLE, synchronous=True),
    network=constant(0.001),
    workload=ClosedLoop(clients=1, operations=1, reads=0.0, keys=UniformKeys(1), start=0.5 * CYCLE),
    duration=45.0 * CYCLE,
)
SHORT = {
    "system": Gossip(nodes=100, anti_entropy=None, cycle=CYCLE, synchronous=True),
    "duration": 30.0 * CYCLE,
}


def spread(scenario: Scenario, mongering: Mongering, seed: int) -> Run:
    """One rumour, spread in one way."""
    return dataclasses.replace(
        scenario, system=dataclasses.replace(scenario.system, mongering=mongering)
    ).run(seed)


def by_cycle(run: Run, nodes: int) -> pd.DataFrame:
    """The share that knows of the rumour at the end of each cycle, until no further member learns of it."""
    known = informed(run.events, "k0", nodes)
    # It was written in the middle of a cycle, and messages arrive right at the beginning of one.
    cycle = (known["time"] / CYCLE + 0.6).astype(int)
    share = known.groupby(cycle)["share"].max()
    share = share.reindex(range(int(share.index.max()) + 1)).ffill()
    return pd.DataFrame({"cycle": share.index, "share": share.to_numpy()})


def recurrence(style: str, nodes: int, cycles: int) -> pd.Series:
    """The share that knows by cycle if no member loses interest (Demers et al. 1987, 1.3); p: the share that does not:

    p' = p exp(-(1 - p)) by push, p' = p^2 by pull, both factors by push-pull. It starts from one member.
    """
    p, shares = 1.0 - 1.0 / nodes, []
    for _ in range(cycles + 1):
        shares.append(1.0 - p)
        pushed = math.exp(-(1.0 - p)) if "push" in style else 1.0
        p *= pushed * (p if "pull" in style else 1.0)
    return pd.Series(shares)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Spread rumours in every way; draw the share that knows by cycle, and the residue against traffic."""
    nodes = scenario.system.nodes  # type: ignore[attr-defined]
    frames, theory = [], {}
    for style in STYLES:
        found = by_cycle(spread(scenario, Mongering(style, k=6), seed), nodes)
        frames.append(found.assign(run=style))
        theory[style] = recurrence(style, nodes, int(found["cycle"].max()))
    spreads = pd.concat(frames, ignore_index=True)
    save(share_informed(spreads, theory), folder / "share_informed.png")
    rows = []
    for name, way in WAYS.items():
        for k in (1, 2, 3, 4):
            run = spread(scenario, dataclasses.replace(way, k=k), seed + k)
            kinds = run.links
            between = kinds[(kinds["src_role"] == "replica") & (kinds["dst_role"] == "replica")][
                "messages"
            ].sum()
            asked = (
                nodes * int(scenario.duration / CYCLE - 1e-9) if way.style != "push" else 0
            )  # pulls carry no update
            sent = (between - asked) / (2 if way.feedback else 1)
            residue = 1.0 - len(informed(run.events, "k0", nodes)) / nodes
            rows.append((name, k, sent / nodes, residue))
    points = pd.DataFrame(rows, columns=["run", "k", "traffic", "residue"])
    points.to_csv(folder / "residue.csv", index=False)
    save(residue_by_traffic(points), folder / "residue_by_traffic.png")
    half = {s: int(spreads[(spreads["run"] == s) & (spreads["share"] >= 0.5)]["cycle"].min()) for s in STYLES}
    last = {s: int(spreads[spreads["run"] == s]["cycle"].max()) for s in STYLES}
    pushed = points[points["run"] == "push, feedback, counter"].set_index("k")
    return (
        f"Of {nodes} members half know after {', '.join(f'{half[s]} ({s})' for s in STYLES)} cycles, all that "
        f"learn of it know after {', '.join(f'{last[s]} ({s})' for s in STYLES)}.\n"
        f"A rumour pushed until k=1 or k=3 contacts in a row were unnecessary leaves out "
        f"{pushed.loc[1, 'residue']:.1%} or "
        f"{pushed.loc[3, 'residue']:.1%}, for {pushed.loc[1, 'traffic']:.1f} or "
        f"{pushed.loc[3, 'traffic']:.1f} updates each."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
