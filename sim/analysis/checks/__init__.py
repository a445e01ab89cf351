"""Consistency checks of the operations that clients observed.

`check` takes an operations frame and the name of a consistency model and returns a `Verdict`: valid, invalid (with the
few operations that contradict each other) or unknown. docs/consistency.md teaches the models and the algorithms.
"""

from __future__ import annotations

from sim.analysis.checks.chart import history_chart, history_text
from sim.analysis.checks.eventual import converged
from sim.analysis.checks.judge import (
    ALIASES,
    CONSISTENCY,
    IMPLIES,
    canonical,
    check,
    linearizable,
    strongest,
    verdicts,
)
from sim.analysis.checks.models import ILLEGAL, MODELS, Model
from sim.analysis.checks.stale import staleness
from sim.analysis.checks.synthesis import synthetic
from sim.analysis.checks.verdict import HistoryOperation, Verdict

__all__ = [
    "ALIASES",
    "CONSISTENCY",
    "ILLEGAL",
    "IMPLIES",
    "MODELS",
    "HistoryOperation",
    "Model",
    "Verdict",
    "canonical",
    "check",
    "converged",
    "history_chart",
    "history_text",
    "linearizable",
    "staleness",
    "strongest",
    "synthetic",
    "verdicts",
]
