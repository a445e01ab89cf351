"""Fair comparisons: all systems that were given no size, failure detection or client timeout get the same values.

A field is *given* if it was written when the system was made (`System.given`), even if its value is the default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from sim.lab.resolved import nested
from sim.lab.scenario import Scenario
from sim.system import System, default_of

__all__ = ["fair", "sized"]

_SIZE = "nodes"
_LEAST = 3  # the smallest number of replicas that keeps a majority when one is lost


def fair(systems: Iterable[System], scenario: Scenario) -> list[Scenario]:
    """The scenario with each system in turn. Systems without given size, failure detection or timeout get common ones.

    The common size is, in this order: the size that the systems give, if they give exactly one; the given size of the
    scenario's own system; one replica for each region of the network, if there are at least three regions; the largest
    default. A system keeps its own size if its other settings forbid the common one, or if it is not replicated.
    Failure detection and the clients' timeout are those derived for the system whose members are farthest apart.
    """
    scenarios = [dataclasses.replace(scenario, system=system) for system in sized(systems, scenario)]
    if not scenarios:
        return []
    timing = max((s.resolved.timing for s in scenarios), key=lambda t: t.heartbeat)
    timeout = max(s.resolved.client_timeout for s in scenarios)
    retry = dataclasses.replace(scenario.retry, timeout=timeout)
    return [dataclasses.replace(s, system=s.system.with_timing(timing), retry=retry) for s in scenarios]


def sized(systems: Iterable[System], scenario: Scenario) -> list[System]:
    """The systems; those without a given size get the common size (see `fair`)."""
    chosen = list(systems)
    size = _common_size(chosen, scenario)
    return [_resized(system, size) for system in chosen]


def _has_size(system: System) -> bool:
    """Whether a system has a variable size; a system with one node by default is not replicated."""
    return any(f.name == _SIZE and default_of(f) != 1 for f in dataclasses.fields(system))


def _sizes_given(system: System) -> list[int]:
    """The sizes that were given to a system, or to systems inside it."""
    own = [getattr(system, _SIZE)] if _has_size(system) and _SIZE in system.given else []
    inner = [s for name, value in nested(system) if name in system.given for s in _sizes_given(value)]
    return [*own, *inner]


def _default_sizes(system: System) -> list[int]:
    own: list[Any] = [default_of(f) for f in dataclasses.fields(system) if f.name == _SIZE]
    inner = [s for _, value in nested(system) for s in _default_sizes(value)]
    return [*(value for value in own if isinstance(value, int)), *inner]


def _common_size(systems: Sequence[System], scenario: Scenario) -> int | None:
    given = sorted({size for system in systems for size in _sizes_given(system)})
    if len(given) == 1:
        return given[0]
    own = _sizes_given(scenario.system)
    if own:
        return own[0]
    if len(scenario.network.regions) >= _LEAST:
        return len(scenario.network.regions)
    return max((size for system in systems for size in _default_sizes(system)), default=None)


def _resized(system: System, size: int | None, given: bool = True) -> System:
    """The system with ``size`` nodes if no size was given (``given``: whether its given fields count as given)."""
    if size is None:
        return system
    changes: dict[str, Any] = {
        name: _resized(value, size, given and name in system.given) for name, value in nested(system)
    }
    if _has_size(system) and not (given and _SIZE in system.given):
        changes[_SIZE] = size
    try:
        return system.changed(**changes) if changes else system
    except ValueError:
        return system  # its other settings, such as quorums of fixed sizes, forbid it
