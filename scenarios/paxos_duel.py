"""Two Paxos proposers duel: each invalidates the other's ballot, until random backoff lets one through.

Paxos Made Simple, section 2.4: two proposers that keep issuing ever higher ballots may never have anything
chosen. Randomised waiting ends the duel; how long it takes is read off many seeds.
"""

from pathlib import Path

import numpy as np

from sim import Scenario, sweep
from sim.analysis.plots import save
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import Paxos
from sim.workload import ClosedLoop, Uniform

scenario = Scenario(
    system=Paxos(nodes=5),
    network=lan(Exponential(0.010)),
    workload=ClosedLoop(clients={"n0": 1, "n4": 1}, keys=Uniform(1), reads=0.0, operations=1),
    duration=5.0,
    trace=True,
    check=True,
)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Draw one duel; count the attempts of many."""
    run = scenario.run(seed)
    run.save(folder)
    end = float(run.operations["return"].max())
    save(run.plot.space_time((0.0, end)), folder / "duel.png")
    duels = sweep(scenario, {}, seeds=range(50), progress=None).runs
    decided = [float(r.operations["return"].max()) for r in duels]
    prepares = [int((r.messages["kind"] == "Prepare").sum()) for r in duels]
    chosen = sorted({str(value) for value in run.operations["result"]})
    return (
        f"In 50 duels the value was known to both clients after {1e3 * np.median(decided):.0f} ms at the median and "
        f"{1e3 * max(decided):.0f} ms at worst, with {min(prepares)} to {max(prepares)} Prepare messages.\n"
        f"Seed {seed}: both clients were answered at {1e3 * end:.0f} ms, chosen: {', '.join(chosen)}; "
        f"violations: {sum(r.violation is not None for r in duels)} of 50."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
