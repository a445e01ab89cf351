"""Progress after a storm: new operations are answered, members come to rest, replicas catch up.

Faults have ended for good. Then, within a bound:

1. each client has an answer to what it had asked before, and to *new* operations: at least three, of all kinds that
   the workload has, without a deadline. Else a system that answers nobody would pass: its clients give up.
2. the system says that it has come to rest (`System.unsettled`): memberships agree, rumours have arrived.
3. each live replica has reached what the furthest had reached when the clients were done (`System.progress`).

The method is that of TigerBeetle's simulator (``vopr``): safety while faults rage; then heal, and demand progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sim.lab.resolved import Resolved
from sim.protocols.client import Client
from sim.system import LivenessViolation
from sim.workload.demand import Demand

if TYPE_CHECKING:
    from sim.lab.simulation import Simulation

__all__ = ["demand_progress", "progress_bound"]

_STEP = 0.1  # seconds between two looks


def progress_bound(resolved: Resolved) -> float:
    """Seconds after all faults have ended within which every client must have its answer.

    Twenty of the longest detection times (twice the detection timeout) with the clients' backoff beside each:
    elections may split, and a replica may have much to catch up with, but not for ever.
    """
    detection = resolved.system.detection_timeout
    return 20 * (2 * detection + resolved.client_timeout + resolved.retry.backoff_max)


def demand_progress(simulation: Simulation, limit: float) -> None:
    """Run a calm simulation until the three demands above are met.

    Raises `LivenessViolation` where clients or members still wait after ``limit`` seconds, or where a replica has not
    caught up ``limit`` seconds after the last client had its answer.
    """
    demands = _ask(simulation)
    if not _await(simulation, limit, lambda: not waiting(simulation) and not _unanswered(demands)):
        _stuck(simulation, limit, demands)
    goal = dict(simulation.system.progress(simulation.members) or {})
    if not _await(simulation, limit, lambda: not _behind(simulation, goal)):
        _never_caught_up(simulation, limit, goal)


def waiting(simulation: Simulation) -> list[str]:
    """The clients that have no answer, and the members that have not come to rest (`System.unsettled`)."""
    clients = [name for name, client in _clients(simulation) if client.pending]
    return [*clients, *simulation.system.unsettled(simulation.members)]


def _await(simulation: Simulation, limit: float, over: Callable[[], bool]) -> bool:
    end = simulation.now + limit
    while not over():
        if simulation.now >= end:
            return False
        simulation.run(until=min(end, simulation.now + _STEP))
    return True


def _clients(simulation: Simulation) -> list[tuple[str, Client]]:
    return [(name, node) for name, node in simulation.nodes.items() if isinstance(node, Client)]


def _ask(simulation: Simulation) -> dict[str, Demand]:
    """Give each client a new driver, and no deadline."""
    kinds = sorted(simulation.scenario.workload.kinds & simulation.system.operations)
    demands = {}
    for name, client in _clients(simulation):
        settings = client.settings
        demand = demands[name] = Demand(settings.driver.source, kinds, simulation.system.may_fail)
        client.settings = replace(settings, driver=demand, retry=replace(settings.retry, deadline=None))
        demand.begin(client)
    return demands


def _unanswered(demands: Mapping[str, Demand]) -> dict[str, str]:
    return {name: demand.left[0] for name, demand in demands.items() if demand.left}


def _stuck(simulation: Simulation, limit: float, demands: Mapping[str, Demand]) -> None:
    unanswered = _unanswered(demands)
    asked = [f"{name} has no answer to a new {kind}" for name, kind in unanswered.items()]
    others = [name for name in waiting(simulation) if name not in unanswered]
    if others:
        asked.append(f"{', '.join(others)} still wait, or have not come to rest")
    raise LivenessViolation(
        "progress after healing",
        simulation.now,
        (*unanswered, *others),
        (f"all faults ended {limit:g} s ago", "; ".join(asked)),
    )


def _behind(simulation: Simulation, goal: Mapping[str, Any]) -> list[str]:
    """The live replicas whose position is not yet the furthest that stands in ``goal`` for their group."""
    group = {member.name: member.group for member in simulation.resolved.members}
    return [
        name
        for name, position in (simulation.system.progress(simulation.members) or {}).items()
        if any(_less(position, goal[other]) for other in goal if group[other] == group[name])
    ]


def _less(position: Any, other: Any) -> bool:
    """Whether a position lacks something of another; tuples are compared place by place."""
    if isinstance(position, tuple):
        return any(mine < theirs for mine, theirs in zip(position, other, strict=True))
    return bool(position < other)


def _never_caught_up(simulation: Simulation, limit: float, goal: Mapping[str, Any]) -> None:
    positions = simulation.system.progress(simulation.members) or {}
    raise LivenessViolation(
        "every replica catches up",
        simulation.now,
        tuple(_behind(simulation, goal)),
        (
            f"{limit:g} s ago replicas stood at {_told(goal)}",
            f"now they stand at {_told(positions)}",
        ),
    )


def _told(positions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {position}" for name, position in positions.items())
