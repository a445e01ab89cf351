"""Old information makes the least loaded server a trap: all balancers choose it.

Four balancers ask sixteen servers for their queue lengths at regular intervals, and use the answers until they ask
again. If the reports are fresh, the shortest queue of all is the best choice. As the reports get older, all balancers
send to the one server that was the shortest, while the better of two random choices hardly suffers (Mitzenmacher, "How
Useful Is Old Information?", IEEE TPDS 2000).
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import queue_heatmap, save, sweep_lines
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import (
    Balanced,
    Exponential,
    JoinShortestQueue,
    Policy,
    PowerOfChoices,
    Random,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop

SERVERS, SERVICE, LOAD = 16, 0.010, 0.85
AGES = (0.005, 0.02, 0.1, 0.4)
POLICIES: dict[str, Policy] = {
    "shortest queue": JoinShortestQueue(by="reported"),
    "two choices": PowerOfChoices(d=2, by="reported"),
    "random": Random(),
}

scenario = Scenario(
    system=Balanced(
        servers=SERVERS, balancers=4, service=Exponential(SERVICE), policy=POLICIES["shortest queue"]
    ),
    network=constant(0.0001),
    workload=OpenLoop(rate=LOAD * SERVERS / SERVICE, clients=4, reads=1.0),
    duration=4.0,
    warmup=1.0,
    retry=Retry(timeout=30.0),
)

SHORT = {"duration": 1.2, "warmup": 0.3, "AGES": (0.005, 0.4)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Vary the age of the reports for each policy."""
    rows = []
    for name, policy in POLICIES.items():
        for age in AGES:
            system = dataclasses.replace(scenario.system, policy=policy, poll=age)  # type: ignore[call-arg]
            sampling = 0.01 if age == AGES[-1] else None
            run = dataclasses.replace(scenario, system=system, sample_every=sampling).run(seed)
            rows.append({"run": name, "seed": seed, "report age [s]": age, **run.summary()})
            if sampling is not None and name != "random":
                chart = queue_heatmap(
                    run.samples[run.samples["node"].str.startswith("s")], gauge="requests", duration=run.ended
                )
                save(chart, folder / f"queues_{name.replace(' ', '_')}.png")
    summaries = pd.DataFrame(rows)
    summaries.to_csv(folder / "stale_load.csv", index=False)
    save(sweep_lines(summaries, "report age [s]", "p99", log=True), folder / "p99_by_age.png")
    mean = 1e3 * summaries.pivot_table(index="report age [s]", columns="run", values="mean")
    fresh, old = AGES[0], AGES[-1]
    return (
        f"With reports every {1e3 * fresh:.0f} ms the shortest queue takes {mean.loc[fresh, 'shortest queue']:.0f} ms "
        f"on average, two choices {mean.loc[fresh, 'two choices']:.0f} ms, random {mean.loc[fresh, 'random']:.0f} ms.\n"
        f"With reports every {1e3 * old:.0f} ms it takes {mean.loc[old, 'shortest queue']:.0f} ms, "
        f"two choices {mean.loc[old, 'two choices']:.0f} ms, random {mean.loc[old, 'random']:.0f} ms: "
        f"the herd has formed."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
