"""One run of the fuzzer: a storm, or a schedule, played to its end and judged."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sim
from sim.lab.fuzz.judging import Breakage, judge, judge_end
from sim.lab.fuzz.recording import RecordedSimulation
from sim.lab.run import Check, Run, finish_broken
from sim.lab.storm import play_out
from sim.system import SafetyViolation

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["Played", "play"]

NO_ERROR = "no error in a handler"
_SEARCH = 100_000
"""Steps of the search for an order that explains a history: where more are needed, another run is worth more."""


@dataclass(frozen=True)
class Played:
    """A run that was played: its verdicts, what broke (None: nothing), and the simulation, which has all records."""

    run: Run
    check: Check | None
    broken: Breakage | None
    simulation: RecordedSimulation


def play(scenario: Scenario, seed: int, *, messages: bool = False, in_storm: bool = False) -> Played:
    """Play a storm or a schedule, demand progress afterwards, and judge the run.

    An exception in a handler is a broken invariant, too ("no error in a handler"). ``messages``: keep what became of
    each message (see `RecordedSimulation`). ``in_storm``: end with the storm, demand no progress, and judge
    only what ends a run.
    """
    try:
        simulation = RecordedSimulation(scenario, seed, messages=messages)
    except Exception as error:
        error.add_note(f"at the start of {scenario.system.label} with seed {seed}")
        raise
    try:
        run = play_out(simulation, calm=not in_storm)
    except Exception as error:
        run = _run_with_error(simulation, error)
    if in_storm:
        return Played(run, None, judge_end(run), simulation)
    check = run.check(steps=_SEARCH)
    return Played(run, check, judge(run, check), simulation)


def _run_with_error(simulation: RecordedSimulation, error: Exception) -> Run:
    """The run that an exception in a handler ended. The exception is raised again if it is not one of a handler."""
    where = [note for note in getattr(error, "__notes__", ()) if note.startswith("on ")]
    if not where:
        raise error
    name = where[0].split()[1]
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(str(sim.__file__)).parent
    kernel = {ours / part for part in ("cluster", "kernel", "lab", "network")}
    outside = [f for f in frames if not kernel & set(Path(f.filename).parents)]
    last = outside[-1] if outside else frames[-1]
    violation = SafetyViolation(
        f"{NO_ERROR}: {type(error).__name__} in {last.name}",
        simulation.now,
        (name,),
        (f"{type(error).__name__}: {error}", f"{Path(last.filename).name}, line {last.lineno}: {last.line}"),
    )
    finish_broken(simulation, violation)
    run = Run.of(simulation, violation, 0.0)
    run.storm = True
    return run
