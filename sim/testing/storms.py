"""Storms for tests: one call runs a system through what a seed draws, and demands what every system must keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim.faults import Fault
from sim.lab.chaos import chaos, chaos_scenario
from sim.system import System

if TYPE_CHECKING:
    from sim.lab.run import Run
    from sim.lab.scenario import Scenario

__all__ = ["survive"]


def survive(
    system: System,
    seed: int,
    storm: float = 2.0,
    *,
    scenario: Scenario | None = None,
    faults: Iterable[Fault] = (),
    bound: float | None = None,
    settle: float = 0.0,
    may_lose: bool = False,
    **load: int,
) -> Run:
    """Run one storm; returns the run, or raises AssertionError with the seed, the system and what it broke.

    Demanded: no invariant breaks, clients have their answers within ``bound`` seconds after the storm, no acknowledged
    write is lost (unless it ``may_lose`` some), and the clients' history is as the system claims.

    Parameters
    ----------
    storm:
        Seconds of faults.
    scenario:
        The storm, if not the one that `sim.lab.chaos_scenario` draws from the seed, with ``faults`` besides, and
        ``clients=`` and ``keys=`` as its ``load``.
    bound, settle:
        Seconds; see `sim.lab.chaos`.
    """
    if scenario is None:
        scenario = chaos_scenario(system, seed, storm=storm, extra_faults=faults, **load)
    elif load or tuple(faults):
        raise ValueError("a scenario that is given has its own faults and load: give them there")
    run = chaos(system, seed, scenario=scenario, bound=bound, settle=settle)
    told = f"seed {seed}, {system}"
    assert run.violation is None, f"{told}: {run.violation}"
    if not may_lose:
        assert not run.acknowledged_lost, f"{told}: {run.acknowledged_lost} acknowledged writes are lost"
    check = run.check()
    assert check.ok, f"{told}: {check}"
    return run
