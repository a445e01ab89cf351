"""One run of the fuzzer as a job: what it reached and what broke is kept with it, in a store, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.faults.checks import WORLD_EVENTS
from sim.lab.fuzz.judging import Breakage
from sim.lab.fuzz.mutating import Seedling
from sim.lab.fuzz.playing import Played, play
from sim.lab.fuzz.strikes import strikes_of
from sim.lab.jobs import RunTask
from sim.lab.run import Check, Run
from sim.written.tree import from_dict, from_tree, to_dict, to_tree

__all__ = ["FuzzTask", "broken_of", "covered_of", "seedling_of"]


@dataclass(frozen=True)
class FuzzTask(RunTask):
    """One run: a storm, or a mutated schedule, under a seed. Its ``notes`` say what it reached."""

    storm: bool = True

    @property
    def how(self) -> dict[str, bool]:
        return {**super().how, "fuzz": True}

    def run(self) -> tuple[Run, Check | None]:
        played = play(self.scenario, self.seed)
        played.run.notes = _notes(played)
        return played.run, played.check


def _notes(played: Played) -> dict[str, Any]:
    simulation = played.simulation
    members = frozenset(simulation.replicas)
    events: dict[str, int] = {}
    for _, node, event, _ in simulation.recorder.events:
        if node in members and event not in WORLD_EVENTS and event != "role":
            events[event] = events.get(event, 0) + 1
    strikes = strikes_of(simulation.deeds, simulation.scenario.duration)
    return {
        "broken": None if played.broken is None else to_dict(played.broken),
        "covered": list(simulation.cluster.covered),  # type: ignore[attr-defined]
        "strikes": [to_tree(strike, "faults") for strike in strikes],
        "events": events,
    }


def broken_of(run: Run) -> Breakage | None:
    """What broke in a run of a `FuzzTask`."""
    tree = run.notes["broken"]
    found: Breakage | None = None if tree is None else from_dict(tree, Breakage)
    return found


def covered_of(run: Run) -> list[str]:
    """What a run of a `FuzzTask` reached."""
    covered: list[str] = run.notes["covered"]
    return covered


def seedling_of(task: RunTask, run: Run) -> Seedling:
    """The run of a task as a seed of further schedules."""
    strikes = tuple(from_tree(tree, "faults") for tree in run.notes["strikes"])
    return Seedling(task.scenario, task.seed, strikes, run.notes["events"])
