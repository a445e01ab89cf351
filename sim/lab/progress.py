"""Progress after a storm: new operations are answered, members settle, replicas catch up.

When all faults have ended, three things are required within a bound:

1. Each client has answers to its earlier operations, and to *new* operations: at least three, of all kinds in the
   workload, without a deadline. Otherwise a system that answers no client would pass, because its clients give up.
   Clients are left out whose only replica is gone for good (`System.max_gone`).
2. The system has settled (`System.unsettled`): memberships agree, rumours have arrived.
3. Each live replica has reached the position that the furthest replica had when the clients were done
   (`System.progress`), and has applied all that any replica has ever applied, also one that crashed since
   (`sim.invariants.agreement`; for systems whose replicas take nothing back). Replicas that may take something back
   hold one state. What clients saw succeed is there.

Nothing is required if the members that are gone for good left the others stranded (`System.is_stranded`).

The method is that of TigerBeetle's simulator (``vopr``): check safety during the faults; heal; then demand progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sim.lab.resolved import Resolved
from sim.node import Node
from sim.protocols.client import Client
from sim.system import LivenessViolation, System
from sim.workload.demand import Demand

if TYPE_CHECKING:
    from sim.lab.simulation import Simulation

__all__ = ["demand_progress", "progress_bound", "run_until", "waiting"]

_STEP = 0.1  # simulated seconds between two checks


def progress_bound(resolved: Resolved) -> float:
    """The time (seconds) after the end of all faults within which every client must get its answers.

    It is twenty times the sum of the longest detection time (twice the detection timeout), the clients' timeout and
    their longest backoff: elections may split, and a replica may have much to catch up with, but not forever.
    """
    detection = resolved.system.detection_timeout
    return 20 * (2 * detection + resolved.client_timeout + resolved.retry.backoff_max)


def demand_progress(simulation: Simulation, limit: float) -> None:
    """Run a simulation without faults until the three requirements above are met.

    Raises `LivenessViolation` if clients or members still wait after ``limit`` seconds, or if a replica has not
    caught up ``limit`` seconds after that.
    """
    demands = _ask(simulation)
    answered = run_until(simulation, limit, lambda: not waiting(simulation) and not _unanswered(demands))
    if simulation.system.is_stranded(simulation.members):
        return
    if not answered:
        _stuck(simulation, limit, demands)
    goal = dict(_progress(simulation) or {})
    if not run_until(simulation, limit, lambda: not _behind(simulation, goal)):
        _never_caught_up(simulation, limit, goal)
    if simulation.agreement is not None:
        if not run_until(simulation, limit, lambda: not _lacking(simulation)):
            _never_applied(simulation, limit)
        if not run_until(simulation, limit, lambda: not _apart(simulation)):
            _never_agreed(simulation, limit)
        simulation.demand_survival()


def _progress(simulation: Simulation) -> Mapping[str, Any] | None:
    """What the system says of its progress; nothing if only what comes free is asked."""
    return None if simulation.scenario.check == "free" else simulation.system.progress(simulation.members)


def _lacking(simulation: Simulation) -> dict[str, tuple[int, int]]:
    """The live replicas that lack writes which a replica has applied: how many they have, and how many there are.

    Left out are those that the system leaves out of its progress: all, or those that have left the group.
    """
    agreement = simulation.agreement
    return {} if agreement is None else agreement.behind(_replicas(simulation))


def _apart(simulation: Simulation) -> tuple[str, ...]:
    """Two live replicas that hold different states, where replicas may take back what they applied."""
    agreement = simulation.agreement
    return () if agreement is None else agreement.apart(_replicas(simulation))


def _replicas(simulation: Simulation) -> Mapping[str, Node]:
    """The live members that must catch up: those in the system's progress; all, if it says nothing of that."""
    own = simulation.system.progress(simulation.members)
    if own is None and type(simulation.system).progress is not System.progress:
        return {}
    return {n: m for n, m in simulation.members.items() if own is None or n in own}


def _never_applied(simulation: Simulation, limit: float) -> None:
    lacking = _lacking(simulation)
    told = ", ".join(f"{name} has applied {mine} of them" for name, (mine, _) in lacking.items())
    raise LivenessViolation(
        "every replica applies what one has applied",
        simulation.now,
        tuple(lacking),
        (
            f"{limit:g} s ago faults had ended, and {max(goal for _, goal in lacking.values())} writes were applied",
            told,
        ),
    )


def _never_agreed(simulation: Simulation, limit: float) -> None:
    apart, agreement = _apart(simulation), simulation.agreement
    assert agreement is not None
    raise LivenessViolation(
        "replicas hold the same after healing",
        simulation.now,
        apart,
        (
            f"all clients had their answers {limit:g} s ago",
            *(f"{name} holds {agreement.held_by(name)}" for name in apart),
        ),
    )


def waiting(simulation: Simulation) -> list[str]:
    """The clients that wait for an answer, and the members that have not settled (`System.unsettled`)."""
    clients = [name for name, client in _served(simulation) if client.pending]
    return [*clients, *simulation.system.unsettled(simulation.members)]


def run_until(simulation: Simulation, limit: float, over: Callable[[], bool]) -> bool:
    """Run until something is over, for at most ``limit`` seconds; returns whether it was."""
    end = simulation.now + limit
    while not over():
        if simulation.now >= end:
            return False
        simulation.run(until=min(end, simulation.now + _STEP))
    return True


def _clients(simulation: Simulation) -> list[tuple[str, Client]]:
    return [(name, node) for name, node in simulation.nodes.items() if isinstance(node, Client)]


def _served(simulation: Simulation) -> list[tuple[str, Client]]:
    """The clients that may expect answers: not those whose only replica is gone for good."""
    gone = simulation.gone
    return [(name, client) for name, client in _clients(simulation) if client.home not in gone]


def _ask(simulation: Simulation) -> dict[str, Demand]:
    """Give each client a new driver without a deadline, and let it begin; returns the drivers by client."""
    kinds = sorted(simulation.scenario.load.kinds & simulation.system.operations)
    demands = {}
    for name, client in _served(simulation):
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
    """The live replicas that have not yet reached the furthest position in ``goal`` for their group."""
    group = {member.name: member.group for member in simulation.resolved.members}
    return [
        name
        for name, position in (_progress(simulation) or {}).items()
        if any(_less(position, goal[other]) for other in goal if group[other] == group[name])
    ]


def _less(position: Any, other: Any) -> bool:
    """Whether a position is behind another; tuples are compared element by element."""
    if isinstance(position, tuple):
        return any(mine < theirs for mine, theirs in zip(position, other, strict=True))
    return bool(position < other)


def _never_caught_up(simulation: Simulation, limit: float, goal: Mapping[str, Any]) -> None:
    positions = _progress(simulation) or {}
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
