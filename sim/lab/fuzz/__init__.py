"""Fuzzing: storms and mutated schedules look for a run in which something breaks; it is shrunk, told and replayed."""

from sim.lab.fuzz.fuzzing import Find, Fuzzed, fuzz
from sim.lab.fuzz.judging import Breakage, judge
from sim.lab.fuzz.replaying import NotPlayable, Replay, Replayed, load_replay
from sim.lab.fuzz.shrinking import shrink_schedule

__all__ = [
    "Breakage",
    "Find",
    "Fuzzed",
    "NotPlayable",
    "Replay",
    "Replayed",
    "fuzz",
    "judge",
    "load_replay",
    "shrink_schedule",
]
