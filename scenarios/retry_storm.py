"""A retry storm outlives its trigger: servers stay overloaded by retries after they have recovered.

Four servers at 70 % load. A request without an answer after 250 ms is retried, up to three times. For three seconds
the servers run at a tenth of their speed. Afterwards each request arrives four times, which is more than the servers
can serve; so every attempt times out and is retried: the storm feeds itself (a metastable failure; Bronson, Aghayev,
Charapko, Zhu, HotOS 2021). A retry budget, a circuit breaker, and load shedding each end it.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.balancing_measures import amplification_timeline, goodput_timeline
from sim.analysis.plots import save
from sim.analysis.plots.balancing import goodput_over_time
from sim.faults import Slow
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import (
    Balanced,
    CircuitBreaker,
    Exponential,
    Random,
    Retries,
    RetryBudget,
    Server,
    Timeout,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVERS, RATE, TRIGGER = 4, 280.0, (6.0, 9.0)
TIMEOUT = Timeout(attempt=0.25, carried=False)
RETRIES = Retries(most=3, backoff=0.0, on=("timeout", "error"))

scenario = Scenario(
    system=Balanced(
        servers=(Server(workers=1),) * SERVERS,
        service=Exponential(0.010),
        policy=Random(),
        resilience=(TIMEOUT, RETRIES),
    ),
    network=constant(0.0005),
    workload=OpenLoop(rate=RATE, clients=4, reads=1.0),
    faults=[
        Slow(f"s{i}", at=TRIGGER[0], duration=TRIGGER[1] - TRIGGER[0], speed=0.1) for i in range(SERVERS)
    ],
    duration=24.0,
    retry=Retry(timeout=5.0),
    sample_every=0.5,
)


def cures(system: Balanced) -> dict[str, Balanced]:
    """The storm, and the settings that should end it."""

    def with_(*values: object, **changes: object) -> Balanced:
        return dataclasses.replace(system, resilience=(TIMEOUT, *values), **changes)  # type: ignore[arg-type]

    breaker = CircuitBreaker(failures=5, open_for=2.0, reroute=False)
    return {
        "retries": system,
        "retry budget": with_(dataclasses.replace(RETRIES, budget=RetryBudget(ratio=0.1))),
        "circuit breaker": with_(RETRIES, breaker),
        "shedding": with_(RETRIES, servers=(Server(workers=1, queue_limit=15),) * SERVERS),
    }


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run the storm and each cure."""
    timelines, after, amplified = [], {}, {}
    for name, system in cures(scenario.system).items():  # type: ignore[arg-type]
        run = dataclasses.replace(scenario, system=system).run(seed)
        timeline = goodput_timeline(run.operations, duration=run.ended, width=1.0).assign(run=name)
        timelines.append(timeline)
        after[name] = timeline["goodput"].iloc[-4:-1].mean()
        steps = amplification_timeline(run.samples)
        last = steps[steps["time"] > run.ended - 4.0]
        amplified[name] = last["received"].sum() / max(1.0, last["arrived"].sum())
        run.save(folder / name.replace(" ", "_"))
    together = pd.concat(timelines, ignore_index=True)
    together.to_csv(folder / "goodput.csv", index=False)
    save(goodput_over_time(together, shade=TRIGGER), folder / "goodput.png")
    cured = ", ".join(f"{name} {after[name] / RATE:.0%}" for name in after if name != "retries")
    late = scenario.duration - TRIGGER[1]
    return (
        f"{late:.0f} s after its trigger has gone the storm still feeds itself: goodput is "
        f"{after['retries'] / RATE:.0%} of what is offered, servers get {amplified['retries']:.1f} attempts a "
        f"request.\n"
        f"Each of these ends it: {cured} of what is offered is served again."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
