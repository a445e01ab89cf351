"""Grading a submission of the Raft lab: its claims are asked in storms, and each loss is shrunk and told."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sim.arguments import checked
from sim.display import Displayed
from sim.lab.fuzz.playing import play
from sim.lab.fuzz.replaying import story_of
from sim.lab.fuzz.shrinking import shrink_schedule
from sim.lab.grading.raft import WORTH, elections, point_of, server_of, storm, why_silent
from sim.lab.grading.submission import load_submission
from sim.lab.work import Failure, outcomes
from sim.node import Node
from sim.settings import Count, Positive, Seconds, Whole

__all__ = ["MEMORY", "STORMS", "TIMEOUT", "Grade", "Lost", "first_look", "grade", "grade_here", "lost_in"]

STORMS = 150
"""Storms for each submission: so many take a minute of a core, and a class of 30 a quarter of an hour on two."""
TIMEOUT = 300.0
"""Real seconds for a submission."""
MEMORY = 1000.0
"""Megabytes for a submission."""
_FIRST_LOOK = 30.0  # real seconds for its import and a quiet run: one that loops at once costs no more
_SHRINKING = 8.0  # seconds of processor time for the story of a lost point
_ELECTIONS = range(60)  # seeds of the runs in which elections are timed
_MOST = sum(WORTH.values())


@dataclass(frozen=True)
class Lost(Displayed):
    """A point that a submission loses.

    Attributes
    ----------
    point: its name. reason: what broke. seed: of the storm that shows it. story: the shortest schedule found, as text.
    Elections are judged over many runs: then ``seed`` is None and ``story`` empty.
    """

    point: str
    reason: str
    seed: int | None = None
    story: str = ""

    def text(self) -> str:
        """The point, what it was lost for, and the story."""
        where = "over many elections" if self.seed is None else f"storm {self.seed}"
        told = [f"-{WORTH[self.point]} {self.point}", f"{where}: {self.reason}"]
        return "\n".join([*told, *(["", self.story.rstrip()] if self.story else [])])


@dataclass(frozen=True)
class Grade(Displayed):
    """The grade of a submission.

    Attributes
    ----------
    file: the submission. storms: in how many it was asked. lost: the points that it loses.
    error: why it gets no points at all, in words; empty if it was graded.
    """

    file: str
    storms: int = 0
    lost: tuple[Lost, ...] = field(default=(), repr=False)
    error: str = ""

    @property
    def points(self) -> int:
        """The points that are left, of 100."""
        return 0 if self.error else _MOST - sum(WORTH[one.point] for one in self.lost)

    def rows(self) -> list[dict[str, object]]:
        """A row for each point: ``file, point, points, most, reason``."""
        lost = {one.point: one.reason for one in self.lost}
        rows: list[dict[str, object]] = []
        for point, most in WORTH.items():
            reason = self.error or lost.get(point, "")
            points = 0 if reason else most
            rows.append({"file": self.file, "point": point, "points": points, "most": most, "reason": reason})
        return rows

    def text(self) -> str:
        """The points, and for each lost point its story."""
        head = f"{self.file}: {self.points} of {_MOST} points"
        if self.error:
            return f"{head}: {self.error}"
        told = [f"{head} ({self.storms} storms)"]
        for lost in self.lost:
            told += ["", lost.text()]
        return "\n".join(told)


@checked
def grade(
    files: Iterable[str],
    *,
    storms: Count = STORMS,
    seed: Whole = 0,
    workers: Count | None = None,
    timeout: Seconds = TIMEOUT,
    memory: Positive = MEMORY,
) -> Iterator[Grade]:
    """The grade of each submission of the Raft lab, in the order of the files. Each gets a process of its own.

    A submission that loops, takes too much memory, ends its process or raises an exception gets no points, and costs no
    other submission anything. This is no protection against malice: the code runs with the rights of the user who
    grades it.

    Parameters
    ----------
    files:
        Paths of Python files.
    storms, seed:
        The number of storms for each submission, and the seed of the first.
    workers:
        How many submissions are graded side by side; None: one for each core.
    timeout, memory:
        Real seconds, and megabytes, for each submission.
    """
    listed = [str(file) for file in files]
    limits: dict[str, Any] = {"workers": workers, "memory_limit": memory}
    looked = dict(
        outcomes(first_look, [(file,) for file in listed], run_timeout=min(timeout, _FIRST_LOOK), **limits)
    )
    done = {
        number: Grade(listed[number], error=found.reason if isinstance(found, Failure) else found)
        for number, found in looked.items()
        if found
    }
    left = [number for number in range(len(listed)) if number not in done]
    tasks = [(listed[number], storms, seed) for number in left]
    turn = 0
    for place, result in outcomes(grade_here, tasks, run_timeout=timeout, **limits):
        failed = isinstance(result, Failure)
        done[left[place]] = Grade(listed[left[place]], error=result.reason) if failed else result
        while turn in done:
            yield done.pop(turn)
            turn += 1
    yield from (done[number] for number in sorted(done))


def first_look(file: str) -> str:
    """Why a submission gets no points at all; empty if it answers clients while nothing fails.

    Raises ValueError for a submission that lacks what the hand-out asks for, and what the submission itself raises
    while it is imported.
    """
    with _silence():
        return why_silent(server_of(load_submission(file)))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def grade_here(file: str, storms: int = STORMS, seed: int = 0, *, shrinking: float = _SHRINKING) -> Grade:
    """Grade a submission in this process. What it prints is dropped.

    ``shrinking``: seconds of processor time for the story of each lost point; see `lost_in`.

    Raises what `first_look` raises.
    """
    if error := first_look(file):
        return Grade(file, error=error)
    with _silence():
        server = server_of(load_submission(file))
        lost: dict[str, Lost] = {}
        for number in range(seed, seed + storms):
            found = lost_in(server, number, lost, seconds=shrinking)
            if found is not None:
                lost[found.point] = found
        measured = elections(server, _ELECTIONS)
        if measured.status == "invalid":
            late = " ".join(str(measured).split())
            lost["elections end"] = Lost("elections end", late)
    return Grade(file, storms, tuple(lost[point] for point in WORTH if point in lost))


def lost_in(
    server: type[Node], seed: int, lost: Collection[str] = (), *, seconds: float = _SHRINKING
) -> Lost | None:
    """The point that a storm costs a server; None if it costs none, or one that is ``lost`` already.

    ``seconds``: of processor time for the search of the shortest story; 0: the storm itself is told.
    """
    scenario = storm(server, seed)
    broken = play(scenario, seed).broken
    if broken is None or (point := point_of(broken)) in lost:
        return None
    search = shrink_schedule(scenario, seed, seconds=seconds) if seconds else None
    shortest = (scenario, seed) if search is None else (search.scenario, search.seed)
    return Lost(point, str(broken), seed, story_of(*shortest)[0])
