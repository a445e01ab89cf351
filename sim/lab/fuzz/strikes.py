"""Deeds of faults in a run, and the strikes that do the same again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.faults.strike import Act, Strike
from sim.faults.when import When
from sim.kernel import delay_until

__all__ = ["Deed", "starts_of", "strikes_of", "triggers_of"]


@dataclass(frozen=True)
class Deed:
    """What a fault did to the world at a time (seconds).

    ``reaction``: the trigger of a fault that was reached at this instant; None: there is none. ``triggers``: others
    that were reached shortly before.
    """

    time: float
    verb: str
    on: tuple[Any, ...]
    options: Mapping[str, Any]
    triggers: tuple[When, ...] = ()
    reaction: When | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes on which it acts."""
        if self.verb in ("cut", "heal", "disturb", "relieve"):
            return tuple(dict.fromkeys(name for pair in self.on[0] for name in pair))
        if self.verb in ("record", "administer", "detain", "let_go"):
            return ()
        return (self.on[0],)


_ENDS = {"restart": "crash", "resume": "pause", "heal": "cut", "relieve": "disturb", "let_go": "detain"}
"""What ends what."""
_USUAL: dict[str, tuple[Any, ...]] = {
    "set_speed": (1.0,),
    "slow_disk": (1.0,),
    "stall_disk": (False,),
    "fail_disk": (False,),
}
"""What has ended when it is set to this."""


def strikes_of(deeds: Iterable[Deed], duration: float) -> tuple[Strike, ...]:
    """The deeds as strikes: a strike has what was done at one instant, and what later undid it.

    Deeds of strikes that would begin after ``duration`` (seconds) are left out.
    """
    return tuple(_strike(strike) for strike in _together(deeds) if strike[0].time < duration)


def triggers_of(deeds: Iterable[Deed], duration: float) -> tuple[tuple[When, ...], ...]:
    """The triggers that were reached shortly before each of these strikes, each with its delay."""
    return tuple(strike[0].triggers for strike in _together(deeds) if strike[0].time < duration)


def starts_of(deeds: Iterable[Deed], duration: float) -> tuple[float, ...]:
    """When each of these strikes began (seconds)."""
    return tuple(strike[0].time for strike in _together(deeds) if strike[0].time < duration)


def _together(deeds: Iterable[Deed]) -> list[list[Deed]]:
    """The deeds of each strike."""
    instants: list[list[Deed]] = []
    for deed in deeds:
        if not instants or instants[-1][0].time != deed.time:
            instants.append([])
        instants[-1].append(deed)
    strikes: list[list[Deed]] = []
    undone_by: dict[tuple[Any, ...], list[Deed]] = {}  # what is in force -> its strike
    for instant in instants:
        fresh: list[Deed] | None = None
        current: list[Deed] | None = None
        waiting: list[Deed] = []
        for deed in instant:
            if deed.verb == "record":
                waiting.append(deed)
                continue
            key = _key(deed)
            if _is_end(deed) and key in undone_by:
                current = undone_by.pop(key)
            else:
                if fresh is None:
                    fresh = []
                    strikes.append(fresh)
                current = fresh
                undone_by[key] = fresh
            current += [*waiting, deed]
            waiting = []
        if waiting:
            if current is None:
                current = []
                strikes.append(current)
            current += waiting
    return strikes


def _key(deed: Deed) -> tuple[Any, ...]:
    """What a deed begins or ends."""
    verb = _ENDS.get(deed.verb, deed.verb)
    return (verb, *(deed.on if verb in ("cut", "disturb", "detain") else deed.on[:1]))


def _is_end(deed: Deed) -> bool:
    if deed.verb == "set_clock":  # the clock is right again
        return deed.on[1] in (0.0, None) and deed.on[2] == 0.0
    return deed.verb in _ENDS or deed.on[1:] == _USUAL.get(deed.verb, ())


def _strike(deeds: list[Deed]) -> Strike:
    start = deeds[0].time
    acts = tuple(
        Act(deed.verb, deed.on, _neat_delay(start, deed.time), {k: v for k, v in deed.options.items() if v})
        for deed in deeds
    )
    return Strike(acts, start if deeds[0].reaction is None else deeds[0].reaction)


def _neat_delay(start: float, time: float) -> float:
    """The delay with the fewest digits that added to ``start`` gives exactly ``time`` (seconds)."""
    delay = delay_until(start, time)
    return next((short for digits in range(1, 16) if start + (short := round(delay, digits)) == time), delay)
