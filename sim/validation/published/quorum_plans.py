"""Capacity and latency of planned quorums (Whittaker et al., Read-Write Quorum Systems Made Practical, PaPoC 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.cluster import Machine
from sim.lab import Scenario
from sim.network import Constant, matrix
from sim.protocols import Abd
from sim.protocols.client import Retry
from sim.protocols.quorum_plans import QuorumPlan, QuorumPlanner
from sim.protocols.quorum_search import best_quorums
from sim.protocols.quorums import Explicit, Majority, QuorumSystem, Rows, Threshold
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

OPERATIONS = 8_000  # in the time in which the capacity is measured
CLIENTS = 200  # sessions: enough for the busiest member to have always work


def measured(
    seed: int, *, planner: QuorumPlanner, share: float, wanted: Mapping[str, Any], figure: str, factor: float
) -> Figures:
    """Operations per second that all members keep up with, for clients who ask by the plan; or a latency (s)."""
    plan = planner.best(share, **wanted)
    latency = figure == "latency"
    seconds = 20_000.0 if latency else OPERATIONS / planner.capacity(plan, share)
    machines = {} if latency else _machines(planner, factor)
    run = Scenario(
        system=Abd(
            nodes=len(planner.members),
            reads=planner.reads,
            writes=planner.write_quorums,
            plan=plan,
            one_phase=True,
        ),
        network=_away(planner, factor if latency else 0.0),
        workload=ClosedLoop(
            clients={"client": 1 if latency else CLIENTS}, reads=share, keys=UniformKeys(10**6)
        ),
        machines=machines,
        retry=Retry(timeout=1e6),
        duration=seconds,
    ).run(seed)
    if latency:
        return {figure: float(run.operations["latency"].mean())}
    busy = run.nodes.set_index("node")["busy"]
    sent = run.links.groupby("dst")["messages"].sum()
    asked = {name: sent.get(name, 0) / len(run.operations) for name in machines}  # of an operation
    served = {name: busy[name] / machine.per_message for name, machine in machines.items()}
    return {figure: min(served[name] / share for name, share in asked.items() if share) / seconds}


def _machines(planner: QuorumPlanner, factor: float) -> dict[str, Machine]:
    """Machines with a core that serves a message in 1 / capacity."""
    given = planner.read_capacity
    return {
        name: Machine(per_message=factor / (given[name] if isinstance(given, Mapping) else given))
        for name in planner.members
    }


def _away(planner: QuorumPlanner, factor: float) -> Any:
    """A network on which a client has a member's answer after the member's latency."""
    given = planner.latency
    ways = [factor * (given[name] if isinstance(given, Mapping) else given) / 2 for name in planner.members]
    places = [*planner.members, "client"]
    return matrix(
        places,
        [[Constant(ways[min(i, j)] if "client" in (a, b) and a != b else 0.0) for j, b in enumerate(places)]
         for i, a in enumerate(places)],
    )  # fmt: skip


def planned(
    *, planner: QuorumPlanner, share: float, wanted: Mapping[str, Any], figure: str, factor: float
) -> Figures:
    """The optimum of the linear program."""
    plan: QuorumPlan = planner.best(share, **wanted)
    worked_out = planner.expected_latency if figure == "latency" else planner.capacity
    return {figure: worked_out(plan, share)}


def _planner(reads: QuorumSystem, *capacity: float, latency: Sequence[float] = ()) -> QuorumPlanner:
    members = tuple(f"n{i}" for i in range(len(capacity)))
    return QuorumPlanner(
        members=members,
        reads=reads,
        read_capacity=dict(zip(members, capacity, strict=True)),
        latency=dict(zip(members, latency, strict=True)) if latency else 0.0,
    )


def _case(
    name: str,
    planner: QuorumPlanner,
    share: float,
    published: float | None,
    figure: str = "capacity",
    fast: bool = False,
    **wanted: Any,
) -> Case:
    return Case(
        name=name,
        settings={"planner": planner, "share": share, "wanted": wanted, "figure": figure},
        published={figure: published},
        samples=3,
        tolerance=0.05,
        fast=fast,
    )


OF_FOUR = _planner(Rows(2, 2), 200, 200, 100, 100, latency=(4.0, 4.0, 1.0, 1.0))
WALLS = Explicit((("n0", "n1"), ("n2", "n3", "n4")))
SEARCHED, _ = best_quorums(OF_FOUR.members, 0.5, resilience=1, read_capacity=OF_FOUR.read_capacity)

RESULT = Published(
    name="quorum_plans",
    title="Quorums planned by the share of reads and the capacity of members",
    source=(
        "Whittaker, Charapko, Hellerstein, Howard, Stoica, Read-Write Quorum Systems Made Practical, PaPoC 2021, and "
        "the examples of its authors' program (github.com/mwhittaker/quoracle, examples/paper.py, tutorial.py)"
    ),
    certainty="Read in the authors' program.",
    setup=(
        "Registers on ABD's servers, in one phase: an operation asks one quorum, drawn by the plan's probabilities. "
        "Capacity: a message takes 1 / capacity of the only core of its member, and 200 clients ask as fast as they "
        "can; the capacity is what all members that are asked keep up with, also those that an answer does not wait "
        "for. Latency: one client, whose messages take half of a member's latency each way. 1-resilient: what is asked "
        "is a quorum still without any one of its members; 1-resilient quorums: there are some without any one of the "
        "members. Grids are read by rows."
    ),
    unit="operations / s; seconds",
    measure=measured,
    expect=planned,
    expected_by="the optimum of the linear program, exactly.",
    settings={"factor": 1.0},
    cases=(
        _case("majority of 3, reads", _planner(Majority(), 100, 100, 100), 1.0, 150, fast=True),
        _case("2 x 3 grid, 25 % reads", _planner(Rows(2, 3), *[100] * 6), 0.25, 800 / 3, fast=True),
        _case(
            "2 x 3 grid, half as fast members, 75 % reads", _planner(Rows(2, 3), *[1000, 500] * 3), 0.75, 1333
        ),
        _case("2 x 2 grid, reads", OF_FOUR, 1.0, 300),
        _case("2 x 2 grid, 1-resilient, reads", OF_FOUR, 1.0, 100, failures=1),
        _case("2 of 4, 1-resilient, reads", _planner(Threshold(2), 200, 200, 100, 100), 1.0, 200, failures=1),
        _case("walls of 2 and 3, 50 % reads", _planner(WALLS, 1000, 500, 1000, 500, 1000), 0.5, None),
        _case("searched, 1-resilient quorums of the same four, 50 % reads", SEARCHED, 0.5, None),
        _case("2 x 2 grid, the same plan", OF_FOUR, 1.0, 3.0, "latency"),
        _case(
            "2 x 2 grid, least latency for a load of 1 / 150",
            OF_FOUR,
            1.0,
            None,
            "latency",
            optimise="latency",
            most_load=1 / 150,
            most_network=2,
        ),
    ),
    perturbations=(Perturbation(what="members, or messages, take 10 % longer", scale={"factor": 1.1}),),
    tolerance=0.05,
)
