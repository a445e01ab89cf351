"""From measured settings to a decision: which settings no other one surely beats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sim.arguments import checked
from sim.lab.compare import Comparison
from sim.lab.sweep import Sweep

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.settings import Better

__all__ = ["frontier"]


@checked
def frontier(
    results: Comparison | Sweep,
    *measures: str,
    better: Mapping[str, Better] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The settings of a comparison or a sweep, and which of them no other one surely beats in these measures.

    A setting is dominated only where the intervals over seeds do not overlap (see `sim.analysis.frontier`).

    Parameters
    ----------
    results:
        The comparison or sweep. It needs several seeds: one seed has no interval and proves nothing.
    measures:
        Two or more measures: ``frontier(sweep, "p99", "acknowledged_lost", "messages_per_operation")``.
    better:
        Measure -> ``"lower"`` or ``"higher"``, for measures of which it is not known.
    confidence:
        The confidence level of the intervals.

    Columns: see `sim.analysis.frontier.frontier`. Raises ValueError for an unknown measure, for fewer than two, and for
    one of unknown direction.
    """
    return results.frontier(*measures, better=better, confidence=confidence)
