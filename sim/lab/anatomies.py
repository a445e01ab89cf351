"""The anatomies of several runs together: the operations that measures count, each client with its weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.run import Run

__all__ = ["anatomies"]


def anatomies(runs: Sequence[Run]) -> pd.DataFrame:
    """`Run.anatomy` of the operations called after the warm-up, with the columns ``run``, ``seed`` and ``weight``.

    The weight of an operation is that of `Run.weighed_operations`: clients of a closed loop count equally.
    """
    import pandas as pd

    return pd.concat([_counted(run) for run in runs], ignore_index=True)


def _counted(run: Run) -> pd.DataFrame:
    from sim.analysis.measures import in_window

    rows = run.anatomy()  # first, so that a run without a full trace is refused
    weighed = in_window(run.weighed_operations, run.ended, run.warmup)
    rows = rows[rows["operation"].isin(weighed.index)]
    weights = weighed["weight"].loc[rows["operation"]].to_numpy() if "weight" in weighed.columns else 1.0
    return rows.assign(run=run.label, seed=run.seed, weight=weights)
