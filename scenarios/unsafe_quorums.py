"""Quorums that do not intersect: of four replicas any two elect and any two accept, and two values are chosen.

Flexible Paxos (Howard, Malkhi, Spiegelman 2016) needs only one condition: every phase-1 quorum intersects every
phase-2 quorum. Two and two of four replicas do not, so the system is refused; ``unsafe=True`` runs it all the same. A
network cut in half is enough to break it. With three to elect and two to accept, the same storm only makes the two
halves wait.
"""

from pathlib import Path

from matplotlib.axes import Axes

from sim import Scenario
from sim.analysis.plots import save
from sim.faults import Partition
from sim.lab import Run
from sim.lab.story import main
from sim.network import constant
from sim.protocols import Paxos
from sim.workload import ClosedLoop, UniformKeys

HALVES = (("n0", "n1"), ("n2", "n3"))

scenario = Scenario(
    system=Paxos(nodes=4, phase1=2, phase2=2, unsafe=True),
    network=constant(0.010),
    workload=ClosedLoop(clients={"n0": 1, "n3": 1}, keys=UniformKeys(1), reads=0.0, operations=1),
    faults=[Partition(HALVES, at=0.0, duration=1.0)],
    duration=5.0,
    trace=True,
    check=True,
)


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run the quorums that do not intersect, then those that do, through the same cut."""
    refused = ""
    try:
        Paxos(nodes=4, phase1=2, phase2=2)
    except ValueError as error:
        refused = str(error)
    run = scenario.run(seed)
    run.save(folder)
    save(draw(run), folder / "two_values.png")
    safe = scenario.vary("system", Paxos(nodes=4, phase1=3, phase2=2)).run(seed)
    broken = "nothing broke" if run.violation is None else str(run.violation)
    answers = sorted(dict.fromkeys(str(value) for value in safe.operations["result"]))
    return (
        f"Refused on construction: {refused}\n{run.label}: {broken}. With phase1=3: chosen {', '.join(answers)}, "
        f"at {safe.operations['returned'].max():.2f} s, after the cut has healed; violations: "
        f"{0 if safe.violation is None else safe.violation}."
    )


def draw(run: Run) -> Axes:
    """The messages until the invariant breaks, and those that are in flight then."""
    axes = run.plot.space_time((0.0, run.ended + 0.0115), labels=False)
    if run.violation is not None:
        broken = run.violation
        axes.axvline(1e3 * broken.time, color="#D55E00", linestyle=":", zorder=0)
        axes.text(
            1e3 * broken.time,
            axes.get_ylim()[0],
            f" {broken.invariant} violated",
            color="#D55E00",
            va="bottom",
        )
    return axes


if __name__ == "__main__":
    main(__file__, scenario, tell)
