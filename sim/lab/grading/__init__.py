"""Grading the Raft lab: points for each claim about a submission, and the shortest story of each claim that breaks.

- `raft`: what a submission is asked; `storms`: in which storms. `grading`: how it is asked. `submission`: its file.
"""

from sim.lab.grading.grading import Grade, Lost, grade, grade_here, lost_in
from sim.lab.grading.submission import load_submission, why_not_python

__all__ = ["Grade", "Lost", "grade", "grade_here", "load_submission", "lost_in", "why_not_python"]
