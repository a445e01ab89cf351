"""Exponential backoff: how long to wait, at the longest, before the next attempt."""

from __future__ import annotations

__all__ = ["LONGEST_WAIT", "Backoff", "longest_wait"]

LONGEST_WAIT = 8
"""Detection timeouts: the waits of replicas double up to this. It is short beside the time to overcome a storm."""
_MOST_DOUBLINGS = 1023  # 2.0 ** 1024 is no float


def longest_wait(first: float, most: float, attempts: int) -> float:
    """Seconds: ``first`` after one attempt, twice as long after each further one, and never above ``most``.

    ``attempts``: how many there have been (>= 1), however many.
    """
    return min(first * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS), most)


class Backoff:
    """Waits between attempts, which double while nothing comes of them.

    Without it, replicas that are slow because they have much to send ask again for what is on its way, send still
    more, and may never recover although all faults have ended.

    Parameters
    ----------
    first, most:
        The wait after an attempt that follows progress, and the longest wait; both in seconds, or both in ticks.
    """

    def __init__(self, first: float, most: float) -> None:
        self.first, self.most = first, most
        self.attempts = 0
        self._progress: int | None = None

    def wait(self, progress: int) -> float:
        """How long to wait now. ``progress``: a number that changes when the attempts have brought something."""
        if progress != self._progress:
            self._progress, self.attempts = progress, 0
        self.attempts += 1
        return longest_wait(self.first, self.most, self.attempts)
