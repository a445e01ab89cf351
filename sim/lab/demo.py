"""The demo: real protocols on measured networks with a leader crash in the middle, and balancing under load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sim.cluster import CLOUD_MACHINE
from sim.faults import Crash
from sim.lab.compare import Comparison, compare
from sim.lab.scenario import Scenario
from sim.network import lan, wan
from sim.protocols import MultiPaxos, PrimaryBackup, Raft
from sim.protocols.balancing import (
    Balanced,
    Exponential,
    LeastConnections,
    Policy,
    PowerOfChoices,
    Random,
    RoundRobin,
)
from sim.system import System
from sim.workload import OpenLoop, Zipf

__all__ = ["REGIONS", "balancing_scenario", "demo", "failover_scenario"]

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland")
"""The five measured EC2 regions of the demo."""

_RATE = 50.0  # arriving operations per second (open loop)
_SERVERS = 10
_SERVICE = 0.010  # seconds of mean service time
_LOAD = 0.8


def failover_scenario() -> Scenario:
    """Five replicas in five measured regions, with clients in each; the leader (in Virginia) crashes at 10 s."""
    return Scenario(
        system=Raft(nodes=5),
        network=wan(*REGIONS, transport="stream"),
        workload=OpenLoop(rate=_RATE, clients=10, keys=Zipf(1000), reads=0.5),
        faults=[Crash("leader", at=10.0, down=5.0)],
        duration=30.0,
        machines=CLOUD_MACHINE,
        leader="virginia",
        name="failover on five regions",
    )


def balancing_scenario() -> Scenario:
    """A balancer in front of ten equal servers at 80 % load, with Poisson arrivals."""
    return Scenario(
        system=Balanced(servers=_SERVERS, service=Exponential(_SERVICE), policy=RoundRobin()),
        network=lan(),
        workload=OpenLoop(rate=_LOAD * _SERVERS / _SERVICE, reads=1.0, clients=1),
        duration=8.0,
        warmup=1.0,
        name="ten servers at 80 % load",
    )


def compare_failover(seeds: int, workers: int | None, progress: bool = True) -> Comparison:
    """Raft, Multi-Paxos and primary-backup (sync and async) in `failover_scenario`."""
    systems: dict[str, System] = {
        "Raft": Raft(),
        "Multi-Paxos": MultiPaxos(),
        "primary-backup, sync": PrimaryBackup(mode="sync"),
        "primary-backup, async": PrimaryBackup(mode="async"),
    }
    return _compare(failover_scenario(), systems, seeds, workers, "failover" if progress else None)


def compare_balancing(seeds: int, workers: int | None, progress: bool = True) -> Comparison:
    """Four balancing policies in `balancing_scenario`."""
    policies: dict[str, Policy] = {
        "random": Random(),
        "round-robin": RoundRobin(),
        "two choices": PowerOfChoices(),
        "least connections": LeastConnections(),
    }
    systems: dict[str, System] = {
        name: Balanced(servers=_SERVERS, service=Exponential(_SERVICE), policy=policy)
        for name, policy in policies.items()
    }
    return _compare(balancing_scenario(), systems, seeds, workers, "balancing" if progress else None)


def _compare(
    scenario: Scenario, systems: dict[str, System], seeds: int, workers: int | None, progress: str | None
) -> Comparison:
    return compare(systems, scenario, seeds=seeds, workers=workers, progress=progress)


def demo(folder: Path, *, seeds: int, workers: int | None, say: Callable[[str], None]) -> None:
    """Run both comparisons, print their tables, write charts and frames into a folder."""
    from sim.analysis.plots import save

    failover = compare_failover(seeds, workers)
    say(f"\nFive replicas on {', '.join(REGIONS)}; the leader crashes at 10 s, for 5 s.\n")
    say(failover.text())
    out = folder / "failover"
    failover.save(out)
    save(failover.plot.latency_cdf(), out / "latency_cdf.png")
    save(failover.plot.latency_percentiles(), out / "latency_percentiles.png")
    save(failover.plot.timeline(), out / "timeline.png")
    save(failover.plot.unavailability(), out / "unavailability.png")

    balancing = compare_balancing(max(2, seeds // 2), workers)
    say(
        f"\n{_SERVERS} servers of {1e3 * _SERVICE:.0f} ms mean service time at {_LOAD:.0%} load, one balancer.\n"
    )
    measures = ("throughput", "p50", "p99", "queue_max")
    say(balancing.text(measures))
    out = folder / "balancing"
    balancing.save(out)
    save(balancing.plot.latency_cdf(tail=True), out / "latency_tail.png")
    save(balancing.plot.latency_percentiles(), out / "latency_percentiles.png")
    say(f"\ncharts (PNG) and frames (CSV): {folder}/failover and {folder}/balancing")
