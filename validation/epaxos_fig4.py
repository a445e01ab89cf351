"""Figure 4 of the EPaxos paper: the median commit latency at five sites, with and without interference.

    python validation/epaxos_fig4.py            # a few seconds

Moraru, Andersen, Kaminsky, SOSP 2013, figure 4 (right): a replica and clients in each of Virginia, California, Oregon,
Japan and Ireland; Multi-Paxos is led from California. The paper's EPaxos has the optimised fast quorum, 3 of 5, which
here `EPaxosStar` has. The network is made of the round trips printed below the figure, constant; the three that are not
printed are inferred from the figure's other numbers. The published bars are digitised, to within 1 ms.
"""

from __future__ import annotations

from sim import Scenario
from sim.network import matrix
from sim.protocols import EPaxos, EPaxosStar, MultiPaxos
from sim.system import System
from sim.workload import ClosedLoop, HotSpot

__all__ = ["PREDICTED", "PUBLISHED", "SITES", "TOLERANCE", "commit_latency", "executed_latency"]

SITES = ("VA", "CA", "OR", "JP", "EU")
ROUND_TRIPS = {  # ms
    "CA-VA": 85,
    "VA-EU": 90,
    "CA-EU": 156,
    "CA-OR": 21,
    "OR-JP": 127,
    "CA-JP": 118,
    "JP-EU": 278,
    "VA-OR": 80,
    "VA-JP": 181,
    "OR-EU": 172,  # inferred
}
PUBLISHED = {  # ms, by site
    "EPaxos, 0 %": (81, 78, 81, 135, 151),
    "EPaxos, 100 %": (163, 155, 163, 265, 303),
    "Multi-Paxos": (170, 85, 107, 211, 250),
}
PREDICTED = {  # ms: the round trip to the second nearest; twice that; the way to California and its round trip
    "EPaxos, 0 %": (85, 85, 80, 127, 156),
    "EPaxos, 100 %": (170, 170, 160, 254, 312),
    "Multi-Paxos": (170, 85, 106, 203, 241),
}
TOLERANCE = 0.10
"""By how much the bars may differ from what the printed round trips yield: the bars themselves do (see README)."""


def one_way(a: str, b: str) -> float:
    """Seconds from one site to another."""
    if a == b:
        return 0.0
    return (ROUND_TRIPS.get(f"{a}-{b}") or ROUND_TRIPS[f"{b}-{a}"]) / 2000


def scenario(system: System, interference: float, clients: int, seconds: float) -> Scenario:
    """Clients beside each replica write, a share ``interference`` (0 to 1) of them to one key."""
    return Scenario(
        system=system,
        network=matrix(SITES, [[one_way(a, b) for b in SITES] for a in SITES]),
        workload=ClosedLoop(
            clients={f"n{row}": clients for row in range(5)},
            reads=0.0,
            keys=HotSpot(1_000_000, 1e-6, interference),
        ),
        leader="CA",
        duration=seconds,
        warmup=2.0,
    )


def recorded(
    event: str, system: System, interference: float, clients: int, seconds: float
) -> dict[str, float]:
    """The median latency (ms) from a command's arrival at its leader to an event, by site."""
    events = scenario(system, interference, clients, seconds).run(seed=1).events
    rows = events[(events["event"] == event) & (events["time"] > 2.0)]
    latency = rows["detail"].map(lambda detail: 1000 * detail["latency"]).groupby(rows["node"]).median()
    return {site: float(latency[f"n{row}"]) for row, site in enumerate(SITES)}


def commit_latency(bar: str, *, clients: int = 10, seconds: float = 10.0) -> dict[str, float]:
    """The median commit latency (ms) of a kind of bars, by site."""
    if bar == "Multi-Paxos":
        run = scenario(MultiPaxos(nodes=5), 0.0, clients, seconds).run(seed=1)
        medians = run.operations.groupby("region")["latency"].median()
        return {site: 1000 * float(medians[site]) for site in SITES}
    share = {"EPaxos, 0 %": 0.0, "EPaxos, 100 %": 1.0}[bar]
    return recorded("committed", EPaxosStar(nodes=5, record_commits=True), share, clients, seconds)


def executed_latency(
    system: System, interference: float, *, clients: int = 10, seconds: float = 10.0
) -> dict[str, float]:
    """The median latency (ms) until a command is executed and its client answered, by site."""
    return recorded("executed", system, interference, clients, seconds)


def main() -> int:
    worst = 0.0
    print("bar              site  published  from round trips  simulated  deviation")
    for bar, heights in PUBLISHED.items():
        found = commit_latency(bar)
        for site, published, predicted in zip(SITES, heights, PREDICTED[bar], strict=True):
            deviation = found[site] / published - 1
            worst = max(worst, abs(deviation))
            print(f"{bar:16} {site:4} {published:10} {predicted:17} {found[site]:10.1f} {deviation:+10.1%}")
    print(f"within {worst:.1%} of every bar (asked for: {TOLERANCE:.0%})")
    for system in (EPaxosStar(nodes=5, record_commits=True), EPaxos(nodes=5, record_commits=True)):
        for share in (0.0, 1.0):
            for event in ("committed", "executed"):
                found = recorded(event, system, share, 10, 10.0)
                text = ", ".join(f"{site} {latency:.0f}" for site, latency in found.items())
                print(f"{type(system).__name__:10} {share:4.0%} {event:9} {text} ms")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    raise SystemExit(main())
