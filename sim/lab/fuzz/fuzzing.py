"""Fuzzing a system: storms and mutated schedules, guided by what they reach, until something breaks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sim.arguments import checked_but
from sim.display import Displayed
from sim.kernel import Streams
from sim.lab.bars import RunsBar
from sim.lab.fuzz.judging import Breakage
from sim.lab.fuzz.mutating import Seedling, mutated
from sim.lab.fuzz.replaying import Replay, picture_of, story_of
from sim.lab.fuzz.shrinking import SECONDS as SHRINKING
from sim.lab.fuzz.shrinking import shrink_schedule
from sim.lab.fuzz.task import FuzzTask, broken_of, covered_of, seedling_of
from sim.lab.jobs import Failed, RunGrid, perform, refuse_all_failed
from sim.lab.labels import describe
from sim.lab.scenario import Scenario
from sim.lab.storm import draw_storm
from sim.lab.work import Failure, Work
from sim.settings import Count, Seconds, Wait, Whole
from sim.system import System

if TYPE_CHECKING:
    from sim.lab.run import Run

__all__ = ["NO_LIMIT", "ROUND", "RUNS", "SECONDS", "Find", "Fuzzed", "fuzz"]

RUNS, SECONDS = 500, 60.0
"""The runs, and real seconds, by default."""
NO_LIMIT = 1_000_000_000
"""So many runs, or seconds, that none makes them."""
ROUND = 16
"""Runs of one round: what a round reached guides the next one. So the number of workers changes no schedule."""

_SEEDS_EACH = 100_000  # seeds of storms from one seed of `fuzz` to the next
_MOST_FINDS = 3
_MUTATED = 0.125
"""The share of mutated schedules. A storm draws options, load and faults that react to the protocol; a mutation keeps
most of its parent's. Of 18 searches of 500 runs, none mutated was quicker than half mutated in 9, and slower in 2."""


@dataclass(frozen=True)
class Find(Displayed):
    """Something that broke.

    Attributes
    ----------
    number: of the run in which it broke, from 1. broken: what broke.
    replay: the shrunk schedule. story: what happens in it, as text. shrinking: how many runs that took.
    faults, operations: how many are left in the schedule.
    """

    number: int
    broken: Breakage
    replay: Replay
    story: str
    shrinking: int
    faults: int
    operations: int

    @property
    def slug(self) -> str:
        """A name for its files: the run and the invariant."""
        words = re.sub(r"[^a-z0-9]+", "-", self.broken.invariant.casefold()).strip("-")
        return f"{self.number}-{words}"[:60]

    def __repr__(self) -> str:
        return f"<Find in run {self.number}: {self.broken.invariant}>"

    def text(self) -> str:
        """What broke, and its story."""
        counted = ((self.faults, "fault"), (self.operations, "operation"))
        size = ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counted)
        head = f"run {self.number}: {self.broken}\nshrunk in {self.shrinking} runs to {size}:"
        return f"{head}\n\n{self.story}"


@dataclass(frozen=True)
class Fuzzed(Displayed):
    """The result of fuzzing a system.

    Attributes
    ----------
    label: the system. runs: how many were made. finds: what broke, each invariant once.
    growth: (runs, coverage) after each round. failed: the runs that gave no result.
    """

    label: str
    runs: int
    finds: tuple[Find, ...] = ()
    growth: tuple[tuple[int, int], ...] = ()
    failed: tuple[Failed, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing broke, and each run gave a result."""
        return not self.finds and not self.failed

    def __repr__(self) -> str:
        broke = ", ".join(find.broken.invariant for find in self.finds) or "nothing"
        lost = f", {len(self.failed)} failed" if self.failed else ""
        return f"<Fuzzed {self.label}: {broke} broke in {self.runs} runs{lost}>"

    def text(self) -> str:
        """What was found, and what was reached."""
        found = [find.text() for find in self.finds] or [f"nothing broke in {self.runs} runs of {self.label}"]
        return "\n".join([*found, "", self.coverage_text(), *map(str, self.failed)])

    def coverage_text(self) -> str:
        """How the coverage grew: after the first round, at doublings, at the end."""
        if not self.growth:
            return "coverage: no run"
        shown = [
            point for i, point in enumerate(self.growth) if (i + 1) & i == 0 or i == len(self.growth) - 1
        ]
        points = ", ".join(f"{covered} after {runs}" for runs, covered in shown)
        half = next(covered for runs, covered in self.growth if 2 * runs >= self.growth[-1][0])
        return f"coverage: {points} runs; {self.growth[-1][1] - half} of them in the last half"

    def save(self, folder: Path | str) -> list[Path]:
        """Write replay file (JSON), story (text) and space-time diagram (PNG) of each find; returns the paths.

        A system that cannot be imported (one of a notebook, or of a function) has no replay file; its story says so.
        """
        from sim.analysis.plots import save

        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        for find in self.finds:
            place = home / find.slug
            text = find.text()
            try:
                written.append(find.replay.save(place.with_suffix(".json")))
            except ValueError as error:  # a system that no file can name
                text += f"\n\nthere is no replay file: {error}"
            story = place.with_suffix(".txt")
            story.write_text(text + "\n", encoding="utf-8")
            _, run = story_of(find.replay.scenario, find.replay.seed)
            save(picture_of(run), place.with_suffix(".png"))
            written += [story, place.with_suffix(".png")]
        return written


@checked_but("work")
def fuzz(
    system: System,
    *,
    runs: Count = RUNS,
    seconds: Seconds = SECONDS,
    seed: Whole = 0,
    storm: Callable[[System, int], Scenario] = draw_storm,
    shrinking: Wait = SHRINKING,
    keep_going: bool = False,
    **work: Unpack[Work],
) -> Fuzzed:
    """Look for a schedule in which something breaks, and shrink it.

    Storms are drawn from seeds. A run that reaches something new (which handler ran after which, which event followed
    which, what was under way when a fault struck) is kept, and later runs are mutations of such runs. It ends with the
    round in which something breaks, unless it shall keep going. What is judged: see `sim.lab.fuzz.judging.judge`.

    Parameters
    ----------
    runs, seconds:
        The most runs, and the real time after which no new round begins.
    seed:
        Another seed draws other storms. The same seed, ``runs`` runs and enough time give the same runs with any number
        of workers.
    storm:
        The function that makes the scenario of a system under a seed.
    shrinking:
        Seconds of processor time for shrinking each find; 0: the schedule stays as it was found.
    keep_going:
        Make all runs, also after something has broken; each invariant that breaks is one find. Otherwise there are at
        most three finds, those of one round.
    work:
        See `sim.lab.work.Work`.

    If all runs of the first round fail, it raises what the first one raised.
    """
    search = _Fuzzing(system, seed, storm, Work(progress="fuzzing") | work)
    began = time.monotonic()
    title = search.work.get("progress")
    with RunsBar(title, runs) as bar:
        while search.made < runs and time.monotonic() - began < seconds:
            for failed in search.round(min(ROUND, runs - search.made)):
                bar.advance(failed)
            if search.broken and not keep_going:
                break
    return search.result(shrinking, None if keep_going else _MOST_FINDS)


class _Fuzzing:
    """The state of a search between rounds."""

    def __init__(
        self, system: System, seed: int, storm: Callable[[System, int], Scenario], work: Work
    ) -> None:
        self.system, self.seed, self.storm, self.work = system, seed, storm, work
        self.label = describe(system)
        self.made = 0
        self.broken: dict[str, tuple[int, FuzzTask]] = {}
        self.failed: list[Failed] = []
        self._covered: dict[str, None] = {}
        self._growth: list[tuple[int, int]] = []
        self._seedlings: list[Seedling] = []

    def round(self, size: int) -> Iterator[bool]:
        """Make the runs of a round; gives for each of them whether it failed."""
        tasks = [self._task(self.made + i) for i in range(size)]
        work = self.work | Work(progress=None, frames=False)
        stage = len(self._growth)
        results = perform(tasks, RunGrid("fuzz", [self.label] * size), work, stage)
        if stage == 0:
            refuse_all_failed(results)
        for task, result in zip(tasks, results, strict=True):
            self.made += 1
            if isinstance(result, Failure):
                self.failed.append(Failed(self.label, task.seed, task.scenario, result.reason))
            else:
                self._learn(task, result[0])
            yield isinstance(result, Failure)
        self._growth.append((self.made, len(self._covered)))

    def _task(self, number: int) -> FuzzTask:
        stream = Streams(self.seed)[f"fuzz/{number}"]
        fresh = self.seed * _SEEDS_EACH + number
        if self._seedlings and stream.chance(_MUTATED):
            parent, other = stream.choice(self._seedlings), stream.choice(self._seedlings)
            try:
                return FuzzTask(*mutated(parent, other, stream, fresh))
            except ValueError:  # a fault of another run that does not fit this scenario
                pass
        return FuzzTask(self.storm(self.system, fresh), fresh)

    def _learn(self, task: FuzzTask, run: Run) -> None:
        broken = broken_of(run)
        if broken is not None:
            self.broken.setdefault(broken.invariant, (self.made, task))
        new = [reached for reached in covered_of(run) if reached not in self._covered]
        if new:
            self._covered.update(dict.fromkeys(new))
            self._seedlings.append(seedling_of(task, run))

    def result(self, shrinking: float, most: int | None) -> Fuzzed:
        """Shrink what broke, at most so many finds (None: all), each within ``shrinking`` seconds."""
        title = None if self.work.get("progress") is None else "shrinking"
        broken = list(self.broken.values())[:most]
        finds = [_find(number, task, shrinking, title) for number, task in broken]
        return Fuzzed(self.label, self.made, tuple(finds), tuple(self._growth), tuple(self.failed))


def _find(number: int, task: FuzzTask, shrinking: float, title: str | None) -> Find:
    search = shrink_schedule(task.scenario, task.seed, seconds=shrinking, progress=title)
    if search is None:
        raise RuntimeError(
            f"run {number} (seed {task.seed}) broke something, and nothing breaks when it is played again: the code of "
            "the system has changed since, or it uses randomness or clocks of its own"
        )
    replay = Replay.of(search.scenario, search.seed)
    story, _ = story_of(search.scenario, search.seed)
    faults, operations = search.size
    return Find(number, replay.broken, replay, story, search.made, faults, operations)
