"""Where the warm-up of a run ends, found in its latencies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from sim.analysis.measures import observed
from sim.analysis.outages import ENDS
from sim.analysis.statistics import mser5
from sim.arguments import checked

__all__ = ["WarmUp", "warm_up"]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The end of the warm-up (seconds), and whether the rule is sure that it is over then.

    ``over`` is False where the best cut is the last one that was considered: the run is too short to tell.
    """

    end: float
    over: bool


@checked
def warm_up(operations: pd.DataFrame, events: pd.DataFrame, *, duration: float) -> WarmUp:
    """The warm-up of a run by MSER-5 (`statistics.mser5`) on the latencies of its operations, in order of call.

    Only operations called before the first fault count: the effects of a fault are not part of the warm-up. Failed
    operations are left out; those without an answer count with the time for which they were observed. At most half of
    the operations are cut.
    """
    faults = events.loc[events["event"].isin(list(ENDS)), "time"]
    until = min(duration, float(faults.min()) if len(faults) else math.inf)
    counted = operations[(operations["status"] != "fail") & (operations["called"] < until)]
    ordered = counted.sort_values("called", kind="stable")
    cut = mser5(observed(ordered, duration)[0])
    if cut == 0:
        return WarmUp(0.0, True)
    return WarmUp(float(ordered["called"].iloc[cut]), cut < 5 * (len(ordered) // 5 // 2))
