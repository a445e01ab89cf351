"""Mutations of schedules: faults that reached something new are moved, copied, aimed at others, mixed with others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sim.faults.strike import Act, Strike
from sim.faults.when import OnEvent
from sim.kernel import Stream
from sim.lab.scenario import Scenario

__all__ = ["Seedling", "mutated"]

_MOST_STEPS = 3
_SHIFTS = (0.003, 0.03, 0.3)  # seconds: means of the shifts of a fault


@dataclass(frozen=True)
class Seedling:
    """A run that reached something new: a seed of further schedules.

    Attributes
    ----------
    scenario, seed: the storm. strikes: what its faults did. events: names of events that members recorded -> how often.
    """

    scenario: Scenario
    seed: int
    strikes: tuple[Strike, ...]
    events: Mapping[str, int]


def mutated(parent: Seedling, other: Seedling, stream: Stream, fresh: int) -> tuple[Scenario, int]:
    """A mutated schedule, and the seed to run it under: that of its parent or, in a third of all cases, ``fresh``.

    ``other``: a run from which faults may be taken.
    """
    strikes = list(parent.strikes)
    for _ in range(1 + stream.below(_MOST_STEPS)):
        step = stream.choice(_STEPS)
        step(strikes, parent, other, stream)
    last = parent.scenario.duration
    kept = tuple(strike for strike in strikes if not isinstance(strike.at, float) or 0 <= strike.at < last)
    seed = fresh if stream.below(3) == 0 else parent.seed
    return replace(parent.scenario, faults=kept), seed


def _drop(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    if strikes:
        del strikes[stream.below(len(strikes))]


def _shift(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    if strikes:
        number = stream.below(len(strikes))
        strike = strikes[number]
        by = stream.exponential(stream.choice(_SHIFTS)) * (1 if stream.chance(0.5) else -1)
        if isinstance(strike.at, float):
            strikes[number] = replace(strike, at=max(0.0, strike.at + by))
        else:
            strikes[number] = replace(strike, at=replace(strike.at, delay=max(0.0, strike.at.delay + by)))


def _stretch(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    """Let a fault last longer, or shorter."""
    if strikes:
        number = stream.below(len(strikes))
        factor = stream.choice((0.1, 0.5, 2.0, 5.0))
        acts = tuple(replace(act, after=act.after * factor) for act in strikes[number].acts)
        strikes[number] = replace(strikes[number], acts=acts)


def _again(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    """Let a fault happen a second time."""
    harmless = [strike for strike in strikes if not _destroys(strike)]
    if harmless:
        at = stream.uniform(0.0, parent.scenario.duration)
        strikes.append(replace(stream.choice(harmless), at=at))


def _borrow(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    """Take over some faults of another run that are near each other."""
    if other.strikes:
        begin = stream.below(len(other.strikes))
        taken = other.strikes[begin : begin + 1 + stream.below(3)]
        strikes += [strike for strike in taken if not _destroys(strike)]


def _aim(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    """Let a fault happen to other members: two names change places."""
    names = [member.name for member in parent.scenario.resolved.members if not member.off]
    number = stream.below(max(1, len(strikes)))
    if strikes and len(names) > 1 and not _destroys(strikes[number]):
        one, two = stream.sample(names, 2)
        strikes[number] = _renamed(strikes[number], {one: two, two: one})


def _trigger(strikes: list[Strike], parent: Seedling, other: Seedling, stream: Stream) -> None:
    """Let a fault happen just after an event."""
    if strikes and parent.events:
        event = stream.choice(sorted(parent.events))
        nth = 1 + stream.below(min(parent.events[event], 20))
        number = stream.below(len(strikes))
        delay = stream.exponential(stream.choice(_SHIFTS)) * stream.below(2)
        strikes[number] = replace(strikes[number], at=OnEvent(event, nth=nth, delay=delay))


_STEPS: tuple[Callable[[list[Strike], Seedling, Seedling, Stream], None], ...] = (
    _drop,
    _shift,
    _shift,
    _stretch,
    _again,
    _borrow,
    _aim,
    _trigger,
)


def _destroys(strike: Strike) -> bool:
    """Whether a fault destroys what is on a disk. How many of those a system survives, only its storm knows."""
    return any(act.verb == "damage_disk" or act.options.get("wiped") for act in strike.acts)


def _renamed(strike: Strike, names: Mapping[str, str]) -> Strike:
    return replace(strike, acts=tuple(_renamed_act(act, names) for act in strike.acts))


def _renamed_act(act: Act, names: Mapping[str, str]) -> Act:
    if act.verb == "administer":
        return act
    return replace(act, on=tuple(_renamed_part(part, names) for part in act.on))


def _renamed_part(part: Any, names: Mapping[str, str]) -> Any:
    if isinstance(part, str):  # a name, or a label in which names stand
        return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), part)
    if isinstance(part, tuple):
        return tuple(_renamed_part(item, names) for item in part)
    return part
