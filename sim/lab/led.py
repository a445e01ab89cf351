"""The groups of a system's members that each have a leader, for the measures of elections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.system import System

if TYPE_CHECKING:
    from sim.analysis.ability import LeaderGroups
    from sim.lab.resolved import Resolved

__all__ = ["has_leader", "leader_groups"]

GRACE = 5.0
"""Detection times after a fault within which it may be the cause of an election.

In 99 % of cases a system has a leader within five (see `sim.lab.liveness`).
"""


def has_leader(system: System) -> bool:
    """Whether members of the system lead: `System.holder` raises LookupError for a system without a leader."""
    try:
        system.holder(system.leader_roles[0], {})
    except LookupError:
        return False
    return True


def leader_groups(resolved: Resolved) -> LeaderGroups | None:
    """The groups of replicas of a system, each with its majority; None for a system without a leader."""
    from sim.analysis.ability import LeaderGroups

    if not has_leader(resolved.system):
        return None
    members: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    for member in resolved.members:
        if member.role == "replica":
            members.setdefault(member.group, []).append(member.name)
            first[member.group] = first.get(member.group, 0) + (not member.off)
    return LeaderGroups(
        members=members,
        majority={group: count // 2 + 1 for group, count in first.items()},
        grace=GRACE * resolved.detection,
        spares=tuple(member.name for member in resolved.members if member.off),
        services=tuple(member.name for member in resolved.members if member.role == "service"),
    )
