"""Grading the Raft lab: points for each claim about a submission, and the shortest story of each claim that breaks.

- `raft`: what a submission is asked. `grading`: how it is asked.
"""

from sim.lab.grading.grading import Grade, Lost, grade, grade_here, load_submission, lost_in

__all__ = ["Grade", "Lost", "grade", "grade_here", "load_submission", "lost_in"]
