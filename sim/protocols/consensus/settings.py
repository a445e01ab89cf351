"""Checks that the systems of this package share, for settings that cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.protocols.quorums import QuorumSystem, as_quorums, disjoint_pair
from sim.system import System

__all__ = ["at_least", "names", "refuse_disjoint"]


def at_least(system: str, field: str, value: Any, least: int) -> None:
    """Raise ValueError unless ``value`` is an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{system}: {field} must be an integer of at least {least}, not {value!r}")


def names(letter: str, count: int) -> tuple[str, ...]:
    """``names("n", 3)`` is ``("n0", "n1", "n2")``."""
    return tuple(f"{letter}{i}" for i in range(count))


def refuse_disjoint(
    system: System,
    phase1: QuorumSystem | int | None,
    phase2: QuorumSystem | int | None,
    acceptors: Sequence[str],
) -> None:
    """Raise ValueError for quorums of phases 1 and 2 that do not meet, unless the system is ``unsafe``.

    Howard, Malkhi, Spiegelman 2016: that they meet is all that Paxos needs. Systems that do not fit the
    acceptors are refused in any case.
    """
    first, second = as_quorums(phase1), as_quorums(phase2)
    pair = disjoint_pair(first, second, acceptors)
    if pair is not None and not system.unsafe:
        raise ValueError(
            f"{type(system).__name__}: the phase-1 quorum {', '.join(pair[0])} and the phase-2 quorum "
            f"{', '.join(pair[1])} do not meet (phase1={first.label}, phase2={second.label}); "
            "unsafe=True runs it all the same"
        )
