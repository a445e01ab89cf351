"""Storms for tests: one call runs a system under faults drawn from a seed, and checks what every system must keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sim.faults import Crash, Fault
from sim.lab.fuzz.judging import keeps_writes
from sim.lab.storm import draw_storm, run_storm
from sim.system import System

if TYPE_CHECKING:
    from sim.lab.run import Run
    from sim.lab.scenario import Scenario

__all__ = ["survive"]


def survive(
    system: System,
    seed: int,
    length: float = 2.0,
    *,
    scenario: Scenario | None = None,
    faults: Iterable[Fault] = (),
    bound: float | None = None,
    settle: float = 0.0,
    may_lose: bool = False,
    **load: Any,
) -> Run:
    """Run one storm and return the run; raises AssertionError with the seed, the system and the broken requirement.

    Required: no invariant breaks; clients get answers within ``bound`` seconds after the storm; no acknowledged write
    is lost (except with ``may_lose``, or with a member that is gone for good of a system that does not claim to keep
    them); the clients' history has the consistency that the system claims.

    Parameters
    ----------
    length:
        Seconds of faults.
    scenario:
        The scenario of the storm. None: `sim.lab.draw_storm` draws it from the seed, with ``faults`` as additional
        faults, and ``clients=`` (4 unless given: the search for an order of ten clients' operations may not end),
        ``keys=`` and ``options=`` from ``load``.
    bound, settle:
        Seconds; see `sim.lab.run_storm`.
    """
    if scenario is None:
        scenario = draw_storm(system, seed, length=length, extra_faults=faults, **{"clients": 4, **load})
    elif load or tuple(faults):
        raise ValueError("a scenario that is given has its own faults and load: give them there")
    run = run_storm(scenario, seed, bound=bound, settle=settle)
    told = f"seed {seed}, {system}"
    assert run.violation is None, f"{told}: {run.violation}"
    all_come_back = not any(isinstance(fault, Crash) and fault.for_good for fault in scenario.faults)
    if not may_lose and (all_come_back or keeps_writes(system)):
        assert not run.acknowledged_lost, f"{told}: {run.acknowledged_lost} acknowledged writes are lost"
    check = run.check()
    assert check.ok, f"{told}: {check}"
    return run
