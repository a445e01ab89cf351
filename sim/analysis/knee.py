"""The knee of a curve of latency against throughput: where more load begins to cost more latency than it brings."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.arguments import checked

__all__ = ["knee"]


@checked
def knee(throughput: Any, latency: Any) -> int | None:
    """The place of the knee among the points of a curve, in order of load; None where the points do not show it.

    The knee is the point of the greatest *power*, throughput / latency: there the straight line from the origin touches
    the curve (Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
    communications", ICC 1979). In an M/M/1 queue it is at half of the capacity. If the power is greatest at the first
    or the last point, the knee lies beyond it or between the points, and the answer is None.

    Args:
        throughput: operations/s that were reached, one for each load.
        latency: seconds, one for each load; NaN: not known.

    Raises ValueError if there are not equally many of both.
    """
    x, y = np.asarray(throughput, dtype=np.float64), np.asarray(latency, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"a knee needs as many throughputs as latencies, in a row each, not {x.shape} and {y.shape}"
        )
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & (y > 0))
    if len(known) < 3:
        return None
    place = int(known[np.argmax(x[known] / y[known])])
    return None if place in (known[0], known[-1]) else place
