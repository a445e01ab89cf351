"""Checks that the systems of this package share, for settings that cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.protocols.quorums import QuorumSystem, as_quorums, disjoint_pair
from sim.system import System

if TYPE_CHECKING:
    from sim.protocols.consensus.multipaxos import MultiPaxos

__all__ = ["at_least", "check_options", "names", "refuse_disjoint"]


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


def check_options(system: MultiPaxos) -> None:
    """Raise ValueError for options of Multi-Paxos that cannot work."""
    name = type(system).__name__
    for field, least in (("window", 1), ("snapshot_every", 1), ("retain", 0)):
        if getattr(system, field) is not None:
            at_least(name, field, getattr(system, field), least)
    at_least(name, "batch", system.batch, 1)
    if not 0 <= system.linger < float("inf"):
        raise ValueError(f"{name}: linger must be at least 0 s, not {system.linger!r}")
    if system.batch > 1 and not system.linger and system.window is None:
        raise ValueError(f"{name}: batch={system.batch} never fills without a window or a linger time")
    if system.linger and system.batch == 1:
        raise ValueError(f"{name}: linger={system.linger} waits for company, but batch=1 allows none")
    if system.retain is not None and system.snapshot_every is None:
        raise ValueError(f"{name}: retain={system.retain} needs snapshot_every")
    if not 0 <= system.drift < 1:
        raise ValueError(f"{name}: drift must be at least 0 and below 1, not {system.drift!r}")
    if system.lease is not None:
        check_lease(system, system.lease)


def check_lease(system: MultiPaxos, lease: float) -> None:
    """Raise ValueError for a lease that no leader could hold, or that outlasts the detection timeout."""
    name = type(system).__name__
    if not 0 < lease < float("inf"):
        raise ValueError(f"{name}: lease must be positive seconds, not {lease!r}")
    if system.unsafe:
        return
    if system.heartbeat is not None and system.usable_lease <= system.heartbeat:
        raise ValueError(
            f"{name}: a lease of {lease} s, {system.usable_lease:g} s of it usable under a drift of "
            f"{system.drift}, ends before it is renewed by a heartbeat every {system.heartbeat} s"
        )
    longest = lease * (1 + system.drift) / (1 - system.drift)
    if system.detection is not None and longest > system.detection:
        raise ValueError(
            f"{name}: a lease of {lease} s, {longest:g} s under a drift of {system.drift}, is longer than the "
            f"detection timeout of {system.detection} s"
        )
