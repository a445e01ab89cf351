"""Load, availability and resilience of a quorum system, computed without simulation.

Naor, Wool, "The Load, Capacity, and Availability of Quorum Systems", SIAM J. Computing 27(2), 1998.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import comb

from sim.protocols.linear_program import minimise
from sim.protocols.quorums import Majority, QuorumSystem, Threshold, as_quorums

__all__ = ["availability", "load", "most_gone", "resilience"]

_MOST_MEMBERS = 20  # subsets are enumerated


def load(system: QuorumSystem, members: Sequence[str]) -> Fraction:
    """The load of the busiest member under the best strategy, as a fraction of all operations.

    A strategy gives each quorum a probability of use. The best strategy solves a linear program (Naor & Wool, section
    3): minimise the largest fraction of operations in which a single member takes part. The result is exact; except
    for counts, the time grows with the number of minimal quorums.
    """
    if isinstance(system, Majority):
        system = system.count(members)
    if isinstance(system, Threshold):
        system.over(members)
        return Fraction(system.size, len(members))
    quorums = list(system.minimal(members))
    rows = [([Fraction(member in quorum) for quorum in quorums], Fraction(1)) for member in members]
    used = minimise(
        [Fraction(-1)] * len(quorums), rows
    )  # the most operations while no member has more than one
    assert used is not None  # none is feasible
    return 1 / sum(used, Fraction(0))


def availability(system: QuorumSystem, members: Sequence[str], up: float | Mapping[str, float]) -> float:
    """The probability that the members that are up contain a quorum; members are up independently.

    Parameters: ``up``, the probability that a member is up, for all or by name.

    Raises ValueError for a probability outside [0, 1], and for more than 20 members unless all are alike.
    """
    chances = [up if isinstance(up, int | float) else up[member] for member in members]
    for chance in chances:
        if not 0 <= chance <= 1:
            raise ValueError(f"a member is up with a probability in [0, 1], not {chance!r}")
    if isinstance(system, Majority):
        system = system.count(members)
    if isinstance(system, Threshold) and len(set(chances)) == 1:
        n, p = len(members), chances[0]
        return float(sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(system.size, n + 1)))
    enough = system.over(members)
    return float(sum(probability for alive, probability in _subsets(members, chances) if enough(alive)))


def _subsets(members: Sequence[str], chances: Sequence[float]) -> list[tuple[tuple[str, ...], float]]:
    if len(members) > _MOST_MEMBERS:
        raise ValueError(
            f"the subsets of {len(members)} members are too many; at most {_MOST_MEMBERS} can be had"
        )
    subsets: list[tuple[tuple[str, ...], float]] = [((), 1.0)]
    for member, chance in zip(members, chances, strict=True):
        subsets = [
            *((alive, p * (1 - chance)) for alive, p in subsets if chance < 1),
            *(((*alive, member), p * chance) for alive, p in subsets if chance > 0),
        ]
    return subsets


def resilience(system: QuorumSystem, members: Sequence[str]) -> int:
    """The largest f such that a quorum remains after any f members fail (Naor & Wool, section 2.2)."""
    if isinstance(system, Majority):
        system = system.count(members)
    if isinstance(system, Threshold):
        system.over(members)
        return len(members) - system.size
    quorums = [frozenset(quorum) for quorum in system.minimal(members)]
    return _smallest_transversal(quorums, len(members)) - 1


def most_gone(members: Sequence[str], *systems: QuorumSystem | int | None) -> int:
    """The most members that may be gone, whichever they are, so that each of these systems has a quorum left.

    ``systems``: as `as_quorums` takes them: a count, or None for majorities, too.
    """
    return min(resilience(as_quorums(system), members) for system in systems)


def _smallest_transversal(quorums: list[frozenset[str]], limit: int) -> int:
    """The size of the smallest set that meets every quorum, at most ``limit``; branch and bound."""
    if not quorums:
        return 0
    best = limit
    smallest: frozenset[str] = min(quorums, key=len)
    for member in sorted(smallest):
        if best <= 1:
            break
        rest = [quorum for quorum in quorums if member not in quorum]
        best = min(best, 1 + _smallest_transversal(rest, best - 1))
    return best
