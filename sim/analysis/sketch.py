"""Sketches of latency, for runs whose operations are not kept; the sketches of many runs can be merged.

A DDSketch (Masson, Rim and Lee 2019, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 12:2195): latencies are counted in buckets whose bounds grow by a constant factor, so that the value
of a bucket is within 1 % of every latency in it, and sketches are merged by adding counts. The package `ddsketch` does
not know operations without an answer, so that its quantiles would be too low; here each bucket counts both kinds, and
the estimate is that of Kaplan and Meier (`sim.analysis.survival`) as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.analysis.measures import in_window, observed, weights_of
from sim.analysis.survival import Bounded, Survival, survival
from sim.arguments import checked

__all__ = ["LatencySketch", "merged", "sketch_of"]

ACCURACY = 0.01
"""How far, relative to it, a latency may be from the value of its bucket."""

_LOG = math.log((1 + ACCURACY) / (1 - ACCURACY))
_LEAST = 1e-9  # seconds; shorter latencies get the key of this one
_SHORTEST = math.ceil(math.log(_LEAST) / _LOG)


@dataclass(frozen=True, eq=False, slots=True)
class LatencySketch:
    """Counts of operations by bucket of latency: ``keys`` ascending, and for each the weight of both kinds.

    ``answered``: operations that took this long. ``unanswered``: those observed for this long without an answer.
    """

    keys: NDArray[np.int32]
    answered: NDArray[np.floating]
    unanswered: NDArray[np.floating]

    def distribution(self) -> Survival:
        """The distribution of latency; each time in it is within 1 % of the latencies that it represents."""
        values = 2.0 * np.exp(self.keys * _LOG) / (1.0 + math.exp(_LOG))
        values = np.where(self.keys <= _SHORTEST, 0.0, values)
        seen, unseen = self.answered > 0, self.unanswered > 0
        weights = np.concatenate([self.answered[seen], self.unanswered[unseen]]).astype(float)
        flags = np.concatenate(
            [np.ones(int(seen.sum()), dtype=bool), np.zeros(int(unseen.sum()), dtype=bool)]
        )
        return survival(
            np.concatenate([values[seen], values[unseen]]), flags, weights if len(weights) else None
        )

    def quantile(self, q: float) -> Bounded:
        """The latency within which a fraction q (0 < q <= 1) was answered, or a lower bound; NaN if empty."""
        return self.distribution().quantile(q)

    @property
    def nbytes(self) -> int:
        """The size of its arrays."""
        return int(self.keys.nbytes + self.answered.nbytes + self.unanswered.nbytes)


def sketch_of(operations: pd.DataFrame, *, duration: float, warmup: float = 0.0) -> LatencySketch:
    """The sketch of the operations called in the window, with their weights (see `sim.analysis.measures`)."""
    counted = in_window(operations, duration, warmup)
    watched, answered = observed(counted, duration)
    weights = weights_of(counted)
    if weights is None:
        weights = np.ones(len(watched))
    bucket = np.ceil(np.log(np.maximum(watched, _LEAST)) / _LOG).astype(np.int32)
    keys, place = np.unique(bucket, return_inverse=True)
    ok = np.bincount(place, weights * answered, len(keys)).astype(np.float32)
    unknown = np.bincount(place, weights * ~answered, len(keys)).astype(np.float32)
    return LatencySketch(keys.astype(np.int32), ok, unknown)


@checked
def merged(sketches: Iterable[LatencySketch]) -> LatencySketch:
    """The sketch of all operations together; the order in which sketches are merged does not matter."""
    each = list(sketches)
    keys, place = np.unique(
        np.concatenate([np.empty(0, dtype=np.int32), *(one.keys for one in each)]), return_inverse=True
    )
    ok, unknown = np.zeros(len(keys)), np.zeros(len(keys))
    np.add.at(ok, place, np.concatenate([[], *(one.answered for one in each)]))
    np.add.at(unknown, place, np.concatenate([[], *(one.unanswered for one in each)]))
    return LatencySketch(keys, ok, unknown)
