"""A class of thirty: each mistake loses the right point, wild submissions cost only themselves, in bounded time."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from sim.lab.grading import Grade, grade
from tests.labs.mistakes import MISTAKES

MINUTES, CORES = 15, 2

POINTS = {
    "ForgottenVote": "at most one leader in a term",
    "VoteWithoutLogCheck": "servers agree",
    "CommitsOldTerm": "servers agree",
    "NoTruncation": "servers agree",
    "Minority": "at most one leader in a term",
    "TimerNotResetOnVote": "elections end",
    "StaleReplies": "at most one leader in a term",
}
"""Mistake -> the point that it must lose; others may go with it."""

WILD = {
    "loops.py": ("while True: pass", "longer than"),
    "allocates.py": ("x = [0] * 10**10", "memory"),
    "raises.py": ("1 / 0", "ZeroDivisionError"),
    "no_python.txt": ("This is an essay.", "no Python file"),
}
"""File -> what is in it, and a part of why it gets no points."""


def a_class(folder: Path) -> dict[str, str]:
    """Thirty submissions: file -> who handed it in."""
    told = {
        f"{cls.__name__}.py": f"from tests.labs.mistakes import {cls.__name__} as Server\n"
        for cls in MISTAKES
    }
    told |= {f"solution{k}.py": "from tests.labs.solution import *\n" for k in range(17)}
    told |= {"prints.py": "from tests.labs.solution import *\nprint('noise' * 1000)\n"}
    told |= {name: text for name, (text, _) in WILD.items()}
    for name, text in told.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {str(folder / name): Path(name).stem for name in told}


def lost(graded: Grade) -> list[str]:
    return [one.point for one in graded.lost]


@pytest.mark.nightly
def test_a_class_of_thirty_is_graded_in_a_quarter_of_an_hour_on_two_cores(tmp_path: Path) -> None:
    handed_in = a_class(tmp_path)
    assert len(handed_in) == 30
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    grades = {handed_in[one.file]: one for one in grade(handed_in, workers=CORES)}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"\n30 submissions: {seconds:.0f} s of CPU, {seconds / CORES / 60:.1f} minutes on {CORES} cores")
    for name, point in POINTS.items():
        assert point in lost(grades[name]), grades[name].text()
    assert grades["FixedTimeouts"].error.endswith(
        "no election ends"
    )  # all points, as clients get no answers at all
    for name, (_, reason) in WILD.items():
        graded = grades[Path(name).stem]
        assert graded.points == 0
        assert reason in graded.error.lower() or reason in graded.error, graded.error
    for name in ("prints", *(f"solution{k}" for k in range(17))):
        assert grades[name].points == 100, grades[name].text()
    assert seconds < MINUTES * 60 * CORES
