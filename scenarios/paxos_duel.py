"""Two Paxos proposers duel: each invalidates the other's ballot, until random backoff lets one through.

Paxos Made Simple, section 2.4: if two proposers keep issuing ever higher ballots, it may happen that no value is ever
chosen. Randomised waiting ends the duel. The wait is not lost, because the winner sends the other proposer the value
meanwhile. Many seeds show how long duels last, for several longest waits after the first refusal (they double with
each refusal).
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from sim import Scenario, sweep
from sim.analysis.plots import save
from sim.lab import Run
from sim.lab.story import main
from sim.network import Exponential, lan
from sim.protocols import Paxos
from sim.workload import ClosedLoop, UniformKeys

BACKOFFS = (0.0, 0.01, 0.05, 0.25)  # seconds; the second is the mean one-way delay
DUELS = range(50)

scenario = Scenario(
    system=Paxos(nodes=5, backoff=0.01),
    network=lan(Exponential(0.010)),
    workload=ClosedLoop(clients={"n0": 1, "n4": 1}, keys=UniformKeys(1), reads=0.0, operations=1),
    duration=5.0,
    trace=True,
    check=True,
)

SHORT = {"DUELS": range(15)}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run all duels, beginning with this seed; draw how long they last, and the one with the most ballots."""
    seeds = [seed + k for k in DUELS]
    runs = sweep(scenario, {"system__backoff": BACKOFFS}, seeds=seeds, progress=None, frames=True).runs
    by_backoff: dict[float, list[Run]] = {wait: [] for wait in BACKOFFS}
    for run in runs:
        by_backoff[run.scenario.system.backoff].append(run)
    lasted = {wait: np.array([_end(run) for run in some]) for wait, some in by_backoff.items()}
    save(draw(lasted), folder / "duels.png")
    longest = max(by_backoff[scenario.system.backoff], key=_prepares)
    longest.save(folder)
    save(longest.plot.space_time((0.0, _end(longest)), labels=False), folder / "longest_duel.png")
    medians = {wait: 1e3 * float(np.median(times)) for wait, times in lasted.items()}
    worst = {wait: 1e3 * float(times.max()) for wait, times in lasted.items()}
    best = min(medians, key=lambda wait: float(np.mean(lasted[wait])))
    told = ", ".join(f"{_name(wait)} {medians[wait]:.0f} and {worst[wait]:.0f} ms" for wait in BACKOFFS)
    return (
        f"Until both clients knew the value, median and longest of {len(seeds)} duels: {told}; on average "
        f"{_name(best)} is best.\n"
        f"The longest duel, drawn, took {_prepares(longest)} Prepare messages; violations in {len(runs)} duels: "
        f"{sum(run.violation is not None for run in runs)}."
    )


def _end(run: Run) -> float:
    """When both clients knew the value (seconds); the end of the run if that has not come."""
    return float(run.operations["returned"].fillna(run.ended).max())


def _prepares(run: Run) -> int:
    return int((run.messages["kind"] == "Prepare").sum())


def _name(wait: float) -> str:
    return f"backoff up to {1e3 * wait:.0f} ms" if wait else "no backoff"


def draw(lasted: dict[float, np.ndarray]) -> Axes:
    """The fraction of duels that are over by a time, a line for each backoff."""
    import matplotlib.pyplot as plt

    colours = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
    _, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for (wait, times), colour in zip(lasted.items(), colours, strict=True):
        ax.ecdf(1e3 * times, color=colour, linewidth=1.8, label=_name(wait))
    ax.set_xscale("log")
    ax.set_xlabel("time until both clients know the value (ms)")
    ax.set_ylabel("fraction of duels")
    slowest = 1e3 * max(float(times.max()) for times in lasted.values())
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick < 2 * slowest]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


if __name__ == "__main__":
    main(__file__, scenario, tell)
