"""The search for a smaller schedule: candidates are played, and the best so far is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sim.faults.strike import Strike
from sim.faults.when import OnMessage, OnWrite, Trigger, When
from sim.lab.fuzz.judging import Breakage
from sim.lab.fuzz.playing import Played, play
from sim.lab.fuzz.strikes import starts_of, triggers_of
from sim.network.fates import Fate, Quiet
from sim.workload.script import Script, ScriptedCall

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["Search", "Spent"]

T = TypeVar("T")

_SLACK = 0.3
"""Seconds by which a candidate runs on after the moment at which something broke in the best schedule."""
_JUST_AFTER = 1e-6
"""The same in the result."""


_MANY, _SEEDS_FOR_MANY = 4, 3
"""Leaving out so many items at once is tried under so many further seeds."""


class Spent(Exception):
    """The budget is spent: the best schedule so far is the result."""


@dataclass
class Search:
    """The best schedule so far, and the budget.

    Attributes
    ----------
    scenario, seed: the best schedule so far. broken: what broke in it. triggers: for each of its strikes, the triggers
    that were reached shortly before. starts: when they began (seconds).
    runs: how many more runs may be made. until: the time (of `time.process_time`) at which the search ends.
    made: how many runs were made. last: the run of the best schedule.
    advance: called for each run.
    in_storm: whether it broke before all faults ended; then candidates end with the storm.
    """

    scenario: Scenario
    seed: int
    broken: Breakage
    runs: int
    until: float
    triggers: tuple[tuple[When, ...], ...] = ()
    starts: tuple[float, ...] = ()
    made: int = 0
    in_storm: bool = False
    last: Played | None = None
    advance: Callable[[], None] = lambda: None

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """The faults of the best schedule."""
        return tuple(fault for fault in self.scenario.faults if isinstance(fault, Strike))

    @property
    def size(self) -> tuple[int, int]:
        """How many faults, and how many operations, the best schedule has."""
        if isinstance(self.scenario.workload, Script):
            return len(self.strikes), len(self.calls)
        assert self.last is not None
        return len(self.scenario.faults), len(self.last.run.operations)

    def give_up(self, storm: Scenario, seed: int, played: Played) -> None:
        """Keep the storm itself."""
        assert played.broken is not None
        self.scenario, self.seed, self.broken, self.last = storm, seed, played.broken, played

    @property
    def calls(self) -> tuple[ScriptedCall, ...]:
        """The operations of the best schedule."""
        return self.script.calls

    @property
    def script(self) -> Script:
        """The workload of the best schedule."""
        assert isinstance(self.scenario.workload, Script)
        return self.scenario.workload

    @property
    def fates(self) -> tuple[Fate, ...]:
        """The fates of messages in the best schedule."""
        network = self.scenario.network
        return network.fates if isinstance(network, Quiet) else ()

    def attempt(self, change: Callable[[Scenario], Scenario], seed: int | None = None) -> bool:
        """Play a changed form of the best schedule; keep it if the same invariant breaks.

        A change that makes no scenario (a fault of a node that is not there any more) is no better. Raises `Spent` when
        the budget is spent.
        """
        try:
            candidate = change(self.scenario)
        except (ValueError, LookupError, TypeError):
            return False
        played = self.play(candidate, self.seed if seed is None else seed)
        if played is None or played.broken is None or played.broken.invariant != self.broken.invariant:
            return False
        self.keep(played, self.seed if seed is None else seed)
        return True

    def play(self, candidate: Scenario, seed: int) -> Played | None:
        """Play a candidate; None if it cannot be played."""
        if self.runs <= 0 or time.process_time() > self.until:
            raise Spent
        self.runs -= 1
        self.made += 1
        self.advance()
        try:
            return play(candidate, seed, messages=True, in_storm=self.in_storm)
        except Exception:  # what a user's code raises where no node runs, such as in `System.members`
            return None

    def keep(self, played: Played, seed: int) -> None:
        """Keep the schedule of a run, without what did not happen in it, as the best one."""
        simulation, broken = played.simulation, played.broken
        assert broken is not None
        recorded = simulation.recorded()
        book = simulation.cluster.network.book
        if book is not None and isinstance(recorded.network, Quiet):
            recorded = replace(recorded, network=replace(recorded.network, fates=tuple(book.met)))
        self.starts = starts_of(simulation.deeds, recorded.duration)
        triggers = triggers_of(simulation.deeds, recorded.duration)
        self.in_storm = broken.time is not None and simulation.calmed is None
        self.scenario, self.seed, self.broken, self.triggers = recorded, seed, broken, triggers
        self.last = played
        self.trim(_SLACK)

    def trim(self, slack: float = _JUST_AFTER) -> None:
        """End the best schedule ``slack`` seconds after something broke in it, if that was during the storm."""
        if self.in_storm and self.broken.time is not None:
            end = self.broken.time + slack
            if end < self.scenario.duration:
                self.scenario = replace(self.scenario, duration=end)

    # Changes of one part

    def with_strikes(self, strikes: Sequence[Strike]) -> Callable[[Scenario], Scenario]:
        """The change to these faults."""
        return lambda scenario: replace(scenario, faults=tuple(strikes))

    def with_calls(self, calls: Sequence[ScriptedCall]) -> Callable[[Scenario], Scenario]:
        """The change to these operations. What triggers count is less by those that are left out."""
        script = replace(self.script, calls=tuple(calls))
        faults = self.strikes_without(calls)
        return lambda scenario: replace(scenario, workload=script, faults=faults)

    def strikes_without(self, calls: Sequence[ScriptedCall]) -> tuple[Strike, ...]:
        """The faults, with triggers that count only what comes of these operations."""
        kept = {(call.client, call.at) for call in calls}
        gone = [call for call in self.calls if (call.client, call.at) not in kept]
        if len(self.starts) != len(self.strikes):
            return self.strikes
        return tuple(
            _counted_without(strike, [call for call in gone if call.at <= start])
            for strike, start in zip(self.strikes, self.starts, strict=True)
        )

    def triggered(self, within: float) -> list[Strike]:
        """The faults, bound to what happened at most ``within`` seconds before each of them."""
        return [
            replace(strike, at=near[0])
            if near and isinstance(near[0], Trigger) and near[0].delay <= within
            else strike
            for strike, near in zip(self.strikes, self.triggers, strict=True)
        ]

    def with_fates(self, fates: Sequence[Fate]) -> Callable[[Scenario], Scenario]:
        """The change to these fates of messages."""

        def change(scenario: Scenario) -> Scenario:
            assert isinstance(scenario.network, Quiet)
            return replace(scenario, network=replace(scenario.network, fates=tuple(fates)))

        return change

    def attempt_under(self, change: Callable[[Scenario], Scenario], seeds: int) -> bool:
        """`attempt`, then under further seeds: with less to do, nodes and disks draw otherwise."""
        return self.attempt(change) or any(self.attempt(change, seed) for seed in range(seeds))

    def reduce(
        self, read: Callable[[], Sequence[T]], change: Callable[[Sequence[T]], Callable[[Scenario], Any]]
    ) -> bool:
        """Leave out as many items as possible: all; all but the last few; then halves, quarters ... single ones.

        ``read`` gives the items of the best schedule. Returns whether any was left out.
        """
        before = len(read())
        if before and self.attempt_under(change(()), _SEEDS_FOR_MANY if before >= _MANY else 0):
            return True
        last = 1
        while last < len(read()) // 2:
            if self.attempt_under(change(read()[-last:]), _SEEDS_FOR_MANY):
                break
            last *= 2
        size = len(read()) // 2
        while size >= 1:
            end = len(read())
            while end > 0:
                items = read()
                end = min(end, len(items))
                begin = max(0, end - size)
                seeds = _SEEDS_FOR_MANY if size >= _MANY else 0
                self.attempt_under(change([*items[:begin], *items[end:]]), seeds)
                end = begin
            size //= 2
        return len(read()) < before


def _counted_without(strike: Strike, gone: Sequence[ScriptedCall]) -> Strike:
    """A fault whose trigger counts the requests of a client, or writes, when these operations are left out."""
    at = strike.at
    if isinstance(at, OnMessage):
        less = sum(call.client in (at.src, at.dst) for call in gone)
    elif isinstance(at, OnWrite):
        less = sum(call.kind != "get" for call in gone)
    else:
        return strike
    return replace(strike, at=replace(at, nth=max(1, at.nth - less)))
