"""Shrinking: the smallest schedule that the budget finds in which the same invariant breaks."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sim.lab.bars import RunsBar
from sim.lab.fuzz.playing import play
from sim.lab.fuzz.shrinking.passes import PASSES, fewer_strikes_elsewhere
from sim.lab.fuzz.shrinking.quiet import make_quiet, make_quiet_at_last
from sim.lab.fuzz.shrinking.search import Search, Spent

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["RUNS", "SECONDS", "shrink_schedule"]

RUNS, SECONDS = 500, 60.0
"""The budget by default: runs, and seconds of processor time."""


def shrink_schedule(
    scenario: Scenario, seed: int, *, runs: int = RUNS, seconds: float = SECONDS, progress: str | None = None
) -> Search | None:
    """Shrink a storm, or a schedule, in which something breaks; None if nothing does. Returns the search at its end.

    What is returned was played once more, and shows the same. Where the recorded form of a run is not quite that run,
    and shows nothing, the storm itself is returned: long, and true.

    ``progress``: the title of a progress bar; None: no bar.
    """
    first = play(scenario, seed, messages=True)
    if first.broken is None:
        return None
    with RunsBar(progress, runs) as bar:
        search = Search(
            scenario, seed, first.broken, runs, time.process_time() + seconds, advance=bar.advance
        )
        search.keep(first, seed)
        if _shows_it(search):
            _search(search)
    if not _shows_it(search):
        search.give_up(scenario, seed, first)
    return search


def _search(search: Search) -> None:
    with suppress(Spent):
        is_quiet = make_quiet(search)
        _all_passes(search)
        if not is_quiet and make_quiet_at_last(search):
            _all_passes(search)
    search.trim()


def _shows_it(search: Search) -> bool:
    """Whether the same invariant breaks in the best schedule, played as a replay file plays it."""
    broken = play(search.scenario, search.seed).broken
    return broken is not None and broken.invariant == search.broken.invariant


def _all_passes(search: Search) -> None:
    """All steps, again and again while they find something."""
    before = None
    while search.scenario != before:
        before = search.scenario
        for shorten in PASSES:
            shorten(search)
        if search.scenario == before:
            fewer_strikes_elsewhere(search)
