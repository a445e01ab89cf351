"""Conversion of numbers, samples and SciPy distributions to distributions of times."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from sim.distributions.base import Distribution
from sim.distributions.measured import Empirical, Scipy
from sim.distributions.parametric import Constant

__all__ = ["as_distribution", "as_work"]


def as_distribution(value: Any, name: str = "a distribution") -> Distribution:
    """``value`` as a distribution of times.

    A number (seconds) becomes a constant. An array or sequence of numbers becomes measured samples. A frozen
    distribution of ``scipy.stats`` is wrapped. A `Distribution` stays as it is. ``name`` is used in error messages.

    Raises ValueError for anything else, and for negative times.
    """
    if isinstance(value, Distribution):
        return value
    if callable(getattr(value, "ppf", None)):
        return Scipy(value)
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return Constant(float(value))
    if hasattr(value, "__array__") or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        return Empirical(value)
    raise ValueError(
        f"{name} must be a number of seconds, measured samples, a Distribution or a frozen scipy.stats "
        f"distribution, not {value!r}"
    )


def as_work(value: Any, name: str = "a service time") -> Distribution:
    """``value`` as a distribution of service times, as in `as_distribution`.

    Raises ValueError also if the mean is 0 or infinite.
    """
    found = as_distribution(value, name)
    if not 0.0 < found.mean() < inf:
        raise ValueError(f"{name} needs a positive, finite mean, not that of {value!r}")
    return found
