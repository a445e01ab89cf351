"""The judge: what broke in a run, if anything did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sim.analysis.checks import canonical
from sim.display import Displayed
from sim.system import LivenessViolation, System

if TYPE_CHECKING:
    from sim.lab.run import Check, Run

__all__ = ["ACKNOWLEDGED", "Breakage", "judge", "judge_end", "keeps_writes"]

ACKNOWLEDGED = "acknowledged writes survive"
"""What is broken when a client saw a write succeed, and no live member has it at the end."""

_KEEPS_WRITES = frozenset({"linearizable", "sequential"})


@dataclass(frozen=True)
class Breakage(Displayed):
    """What broke in a run.

    Attributes
    ----------
    invariant: its name. Two runs show the same failure if these names are equal.
    kind: an invariant of safety (an error in a handler, too), of liveness, the claimed consistency, acknowledged
        writes, or a limit that the system declares.
    time: simulated seconds at which it broke; None: it is a statement about the whole run.
    nodes: the nodes involved. facts: what contradicts each other.
    """

    invariant: str
    kind: Literal["safety", "liveness", "consistency", "acknowledged writes", "limit"]
    time: float | None = None
    nodes: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    def __str__(self) -> str:
        when = "" if self.time is None else f" at {self.time:.6f} s"
        where = f" on {', '.join(self.nodes)}" if self.nodes else ""
        return f"{self.invariant} is broken{when}{where}: {'; but '.join(self.facts)}"


def judge(run: Run, check: Check) -> Breakage | None:
    """What broke in a run; None: nothing did.

    In this order: an invariant of the system, an error in a handler, or missing progress, which end a run; acknowledged
    writes that are lost, if the system claims to be linearizable or sequential; the claimed consistency; the limits
    that the system declares (`System.limits`). ``check``: the verdicts on the run.
    """
    found = judge_end(run)
    if found is not None:
        return found
    system = run.scenario.resolved.system
    if run.acknowledged_lost and keeps_writes(system):
        fact = f"{run.acknowledged_lost} writes that clients saw succeed are on no live member at the end"
        return Breakage(ACKNOWLEDGED, "acknowledged writes", facts=(fact,))
    if check.status == "invalid" and check.verdict is not None:
        return Breakage(str(check.consistency), "consistency", facts=(check.verdict.reason,))
    for limit in system.limits():
        value = limit.measure(run)
        if not limit.holds(value):
            return Breakage(limit.title, "limit", facts=(str(limit), f"it was {value:g}"))
    return None


def keeps_writes(system: System) -> bool:
    """Whether a system claims that a write which a client saw succeed survives what its fault model allows."""
    claim = system.consistency
    return claim is not None and canonical(claim) in _KEEPS_WRITES


def judge_end(run: Run) -> Breakage | None:
    """What ended a run early: an invariant, an error in a handler, or missing progress; None: nothing did."""
    found = run.violation
    if found is None:
        return None
    kind: Literal["safety", "liveness"] = "liveness" if isinstance(found, LivenessViolation) else "safety"
    return Breakage(found.invariant, kind, found.time, found.nodes, found.facts)
