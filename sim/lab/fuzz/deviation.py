"""The first step in which a mistaken system does something else than the correct one, in the same schedule.

Both are played under the same seed. Up to the first step that differs, the two runs are one run: in that step the same
node has the same state and handles the same message, and what it does otherwise is the mistake at work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sim.lab.fuzz.playing import play

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario
    from sim.lab.simulation import Simulation
    from sim.system import System

__all__ = ["first_deviation"]

_LONGEST = 60  # letters of one value

_Step = tuple[Any, ...]
_Sent = tuple[Any, ...]


def first_deviation(scenario: Scenario, correct: System, seed: int) -> list[str]:
    """Where a run of a mistaken system parts from that of the correct one, in a few lines; what each of them does then.

    ``correct``: the system of the scenario without its mistake.
    """
    runs = [play(replace(scenario, trace="full", system=one), seed) for one in (scenario.system, correct)]
    end = min(run.run.ended for run in runs)  # what broke has ended one of them
    mistaken, right = (_steps(run.simulation) for run in runs)
    for ours, theirs in zip_longest(mistaken, right):
        if _until(end, ours) != _until(end, theirs):
            return _told(ours, theirs)
    if runs[0].broken is None or not mistaken:
        return ["in this schedule the correct system does the same"]
    return [f"the mistake shows first in what breaks at the end: {_head(mistaken[-1])}"]


def _steps(simulation: Simulation) -> list[tuple[_Step, tuple[_Sent, ...]]]:
    """Each step (time, node, handler, cause, what it changed), and the messages that it sent, with when they left."""
    recorder = simulation.recorder
    sent: dict[int, list[_Sent]] = {}
    for kind, _, dst, _, _, _, _, number, step, content, _, _, handed, copy in recorder.messages:
        if not copy:
            sent.setdefault(step, []).append((number, kind, dst, content, handed))
    return [
        ((time, node, handler, cause, state), tuple(one[1:] for one in sorted(sent.get(number, ()))))
        for number, time, node, _, cause, handler, state in recorder.steps
    ]


def _until(
    end: float, done: tuple[_Step, tuple[_Sent, ...]] | None
) -> tuple[_Step, tuple[_Sent, ...]] | None:
    """A step with the messages that had left its node at the ``end`` (seconds); None: it is later."""
    if done is None or done[0][0] > end:
        return None
    return done[0], tuple(one for one in done[1] if one[3] <= end)


def _told(
    ours: tuple[_Step, tuple[_Sent, ...]] | None, theirs: tuple[_Step, tuple[_Sent, ...]] | None
) -> list[str]:
    if ours is None or theirs is None or ours[0][:4] != theirs[0][:4]:
        both = (("with the mistake", ours), ("without it", theirs))
        return [
            "the two runs part here, and the step that led to it showed no difference:",
            *(f"  {who}: {_head(done)}" for who, done in both),
        ]
    return [
        f"the mistake shows first at {_head(ours)}:",
        f"  with the mistake: {_deeds(ours, theirs)}",
        f"  without it:       {_deeds(theirs, ours)}",
    ]


def _head(done: tuple[_Step, tuple[_Sent, ...]] | None) -> str:
    if done is None:
        return "no further step"
    time, node, handler, cause, _ = done[0]
    what = json.loads(cause)
    about = what.get("message") or what.get("name") or ""
    return f"{time:.6f} s, where {node} runs {handler}{f' ({about})' if about else ''}"


def _deeds(done: tuple[_Step, tuple[_Sent, ...]], other: tuple[_Step, tuple[_Sent, ...]]) -> str:
    """What a step does and the other does not: fields that it changes, messages that it sends."""
    told = [f"{name} = {_short(value)}" for name, value in _only(done[0][4], other[0][4]).items()]
    told += [
        f"sends {kind} to {dst} {_short(json.loads(content))} at {handed:.6f} s"
        if any(sent[:3] == (kind, dst, content) for sent in other[1])
        else f"sends {kind} to {dst} {_short(json.loads(content))}"
        for kind, dst, content, handed in done[1]
        if (kind, dst, content, handed) not in other[1]
    ]
    return ", ".join(told) or "nothing more"


def _only(state: str, other: str) -> Mapping[str, Any]:
    mine, theirs = (json.loads(text) if text else {} for text in (state, other))
    return {name: value for name, value in mine.items() if name not in theirs or theirs[name] != value}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
