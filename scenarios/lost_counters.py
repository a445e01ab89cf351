"""Counters that lose, and CRDT counters that do not.

Clients in three regions increment the same few counters. Oregon's clock is half a second behind. Each replica adds one
to its value and sends the result to the others. Last writer wins keeps one of two concurrent sums. Siblings with a
resolver that takes the larger sum do hardly better. A counter that remembers how much each replica added is exact. All
of them answer equally fast, and all replicas agree in the end.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.plots import grouped_bars, save
from sim.cluster import Clock, Machine
from sim.faults import Partition
from sim.lab.story import main
from sim.network import Exponential, wan
from sim.protocols import Crdt, MultiPrimary
from sim.workload import ClosedLoop, Mix, UniformKeys

scenario = Scenario(
    system=Crdt(kind="pn-counter"),
    network=wan("virginia", "oregon", "ireland", transport="stream"),
    workload=ClosedLoop(clients=6, think=Exponential(0.5), mix=Mix({"increment": 1.0}, UniformKeys(5))),
    faults=[Partition((("virginia",), ("oregon",), ("ireland",)), at=20.0, duration=5.0)],
    machines={"n1": Machine(clock=Clock(offset=-0.5)), "*": Machine()},
    duration=40.0,
)

SHORT = {"duration": 25.0}

SYSTEMS = {
    "last writer wins,\nwall clocks": MultiPrimary(clock="wall"),
    "last writer wins,\nhybrid clocks": MultiPrimary(),
    "siblings, the\nlarger one shown": MultiPrimary(conflicts="siblings", resolver=max),
    "PN-counter\n(CRDT)": Crdt(kind="pn-counter"),
}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Count with each of them; compare what was acknowledged with what is there in the end."""
    rows, slowest = {}, 0.0
    for name, system in SYSTEMS.items():
        run = dataclasses.replace(scenario, system=system).run(seed)
        check = run.check()
        if run.final is None or not check.ok:
            raise ValueError(f"{run.label} did not converge: {check}")
        # Those whose answer was still under way when the run ended may have been counted, too.
        answered = (run.operations["status"] == "ok").sum()
        held = [value if isinstance(value, int) else value.value for value in run.final["n0"].values()]
        rows[name] = {"acknowledged": answered, "value in the end": sum(held)}
        rows[name]["under way"] = (run.operations["status"] == "info").sum()
        slowest = max(slowest, float(run.operations["latency"].max()))
    table = pd.DataFrame(rows).T
    table.to_csv(folder / "counters.csv")
    ax = grouped_bars(table[["acknowledged", "value in the end"]], "increments")
    ax.margins(y=0.15)
    save(ax, folder / "counters.png")
    short = 1 - table["value in the end"] / table["acknowledged"]
    names = list(SYSTEMS)
    crdt = table.loc[names[3]]
    return (
        f"Of the acknowledged increments last writer wins loses {short[names[0]]:.0%} by wall clocks and "
        f"{short[names[1]]:.0%} by hybrid clocks; showing the larger of two siblings loses {short[names[2]]:.0%}.\n"
        f"The PN-counter shows {crdt['value in the end']} for {crdt['acknowledged']} acknowledged and "
        f"{crdt['under way']} under way at the end; no answer of any of them took longer than {1e3 * slowest:.0f} ms."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
