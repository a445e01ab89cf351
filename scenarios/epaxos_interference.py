"""Without a leader: EPaxos on five regions, from no interference to every command on one key.

Clients use the replica in their own region. With a leader in Virginia, the requests of all regions travel there. With
EPaxos they travel to the region's own fast quorum, and a second round follows when commands interfere. The fast quorum
of EPaxos has four of the five replicas, that of EPaxos* has three.
"""

import dataclasses
from pathlib import Path

from sim import Scenario, compare_scenarios
from sim.analysis.plots import save
from sim.lab.story import main
from sim.network import wan
from sim.protocols import EPaxos, EPaxosStar, MultiPaxos
from sim.workload import HotSpot, OpenLoop

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland")
SHARES = (0.0, 0.02, 0.25, 1.0)
SEEDS = 2

scenario = Scenario(
    system=EPaxos(nodes=5),
    network=wan(*REGIONS, transport="stream"),
    workload=OpenLoop(clients=10, rate=40.0, reads=0.0),
    duration=12.0,
    warmup=1.0,
    leader="virginia",
)

SHORT = {"duration": 6.0, "SHARES": (0.0, 1.0), "SEEDS": 1}


def interfering(share: float) -> OpenLoop:
    """Writes, of which a share goes to one key and the others to a million keys."""
    return OpenLoop(clients=10, rate=40.0, reads=0.0, keys=HotSpot(1_000_000, 1e-6, share))


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Compare; draw the median of each region."""
    cases = {
        f"EPaxos, {share:.0%}": dataclasses.replace(scenario, workload=interfering(share)) for share in SHARES
    }
    for share in (SHARES[0], SHARES[-1]):
        cases[f"EPaxos*, {share:.0%}"] = dataclasses.replace(
            scenario, system=EPaxosStar(nodes=5), workload=interfering(share)
        )
    cases["Multi-Paxos"] = dataclasses.replace(
        scenario, system=MultiPaxos(nodes=5), workload=interfering(0.02)
    )
    comparison = compare_scenarios(cases, seeds=range(seed, seed + SEEDS), progress=None)
    comparison.save(folder)
    save(comparison.plot.by_region("p50"), folder / "median_by_region.png")
    shown = 1e3 * comparison.by_region().groupby(["region", "run"])["p50"].mean().unstack("run")
    calm, leader = shown[f"EPaxos, {SHARES[0]:.0%}"], shown["Multi-Paxos"]
    wins = [region for region in REGIONS if calm[region] < leader[region]]
    worst = shown[f"EPaxos, {SHARES[-1]:.0%}"].mean() / calm.mean()
    star = shown[f"EPaxos*, {SHARES[0]:.0%}"]
    return (
        f"Without interference EPaxos is quicker than Multi-Paxos led from Virginia in {len(wins)} of {len(REGIONS)} "
        f"regions; means over regions {calm.mean():.0f} ms against {leader.mean():.0f} ms "
        f"(EPaxos*: {star.mean():.0f} ms).\n"
        f"When every command interferes its mean is {worst:.1f} times as long; all histories: "
        f"{', '.join(dict.fromkeys(check.status for check in comparison.checks if check is not None))}."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
