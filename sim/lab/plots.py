"""Charts of runs and comparisons; each method returns matplotlib Axes and takes ``ax=``.

The drawing itself is in `sim.analysis.plots`: pure functions of frames. matplotlib is imported at first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.lab.compare import Comparison
    from sim.lab.run import Run

__all__ = ["ComparisonPlots", "RunPlots"]
