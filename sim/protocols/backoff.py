"""Exponential backoff: how long to wait, at the longest, before the next attempt."""

from __future__ import annotations

__all__ = ["longest_wait"]

_MOST_DOUBLINGS = 1023  # 2.0 ** 1024 is no float


def longest_wait(first: float, most: float, attempts: int) -> float:
    """Seconds: ``first`` after one attempt, twice as long after each further one, and never above ``most``.

    ``attempts``: how many there have been (>= 1), however many.
    """
    return min(first * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS), most)
