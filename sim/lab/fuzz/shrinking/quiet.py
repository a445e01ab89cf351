"""The first step of shrinking: a quiet network, if the failure survives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sim.faults.strike import Strike
from sim.lab.fuzz.playing import Played
from sim.lab.fuzz.quieting import calm_machines, fates_of, quiet, stalls_of
from sim.lab.fuzz.shrinking.search import Search
from sim.network.fates import Fate

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["SEEDS", "make_quiet", "make_quiet_at_last"]

SEEDS = 20
"""How many seeds are tried where the quiet form of a schedule shows nothing under its own."""

_TIGHT = 0.02
"""Seconds: a fault that strikes so soon after a message or a write may have to do so, and is bound to it."""
_SLOW = (16.0, 4.0)
"""Messages that took more than this many times the median of their link are exceptions in the first attempts."""


def make_quiet(search: Search) -> bool:
    """Make the network of the best schedule quiet; returns whether the failure survives it.

    In this order: without any exception; with the losses, copies and long delays of the run; without exceptions under
    other seeds, because nodes draw, too. Each time first on calm machines, then on machines whose disks stall when
    they did, then on the machines of the run. The last but one attempts bind faults to what they closely followed.
    """
    first = search.last
    assert first is not None
    stalls = stalls_of(first.simulation, slow=_SLOW[-1])
    for slow in (None, *_SLOW):
        fates = () if slow is None else fates_of(first.simulation, slow=slow)
        if any(search.attempt(_quiet_form(fates, with_stalls)) for with_stalls in ((), stalls)):
            return True
        if search.attempt(_quiet_form(fates, None)):
            return True
    if _make_quiet_bound(search, first, stalls):
        return True
    return any(search.attempt(_quiet_form((), ()), seed) for seed in range(SEEDS))


def _make_quiet_bound(search: Search, first: Played, stalls: tuple[Strike, ...]) -> bool:
    """The same with faults that are bound to what they closely followed."""
    bound = tuple(search.triggered(_TIGHT))
    if bound == search.strikes:
        return False
    for slow in (None, _SLOW[-1]):
        fates = () if slow is None else fates_of(first.simulation, slow=slow)
        if any(search.attempt(_quiet_form(fates, some, bound)) for some in (stalls, None)):
            return True
    return False


def make_quiet_at_last(search: Search) -> bool:
    """The same for a schedule that was shrunk on a random network: at last with all messages as they were."""
    first = search.last
    assert first is not None
    if any(search.attempt(_quiet_form(fates_of(first.simulation, slow=slow), None)) for slow in _SLOW):
        return True
    return search.attempt(_quiet_form(fates_of(first.simulation), None))


def _quiet_form(
    fates: tuple[Fate, ...],
    stalls: tuple[Strike, ...] | None,
    faults: tuple[Strike, ...] | None = None,
) -> Callable[[Scenario], Scenario]:
    """The change to a quiet network with these fates; and to calm machines whose disks stall like this (None: not).

    ``faults``: other forms of its faults.
    """

    def change(scenario: Scenario) -> Scenario:
        made = quiet(scenario if faults is None else replace(scenario, faults=faults), fates)
        if stalls is None:
            return made
        calm = calm_machines(made)
        return replace(calm, faults=(*calm.faults, *stalls)) if stalls else calm

    return change
