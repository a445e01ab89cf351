"""Consistency checks (interim: linearizability only; the rest is on its way)."""

from __future__ import annotations

import pandas as pd

from sim.analysis.checks.columns import History
from sim.analysis.checks.linearizable import linearizable
from sim.analysis.checks.models import choose
from sim.analysis.checks.verdict import Operation, Verdict

__all__ = ["Operation", "Verdict", "check", "linearizable"]


def check(operations: pd.DataFrame, consistency: str = "linearizable", *, model: str = "auto") -> Verdict:
    """Judge a history."""
    if consistency != "linearizable":
        raise ValueError(f"no check for {consistency!r} yet")
    history = History.of(operations)
    return linearizable(history, choose(model, list(history.kinds)))
