"""Exponential backoff: the longest wait before the next attempt."""

from __future__ import annotations

__all__ = ["LONGEST_WAIT", "Backoff", "longest_wait"]

LONGEST_WAIT = 8
"""The longest wait of replicas, in detection timeouts. It is short compared to the time to recover from a storm."""
_MOST_DOUBLINGS = 1023  # 2.0 ** 1024 overflows a float


def longest_wait(first: float, most: float, attempts: int) -> float:
    """The longest wait in seconds: ``first`` after one attempt, doubled after each further one, at most ``most``.

    ``attempts``: the number of attempts so far (>= 1).
    """
    return min(first * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS), most)


class Backoff:
    """Waits between attempts; a wait doubles while there is no progress.

    Without backoff, replicas that are slow because they have much to send ask again for messages that are on their
    way. They then send even more, and may never recover, although all faults have ended.

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
        """The wait before the next attempt. ``progress``: a number that changes when the attempts make progress."""
        if progress != self._progress:
            self._progress, self.attempts = progress, 0
        self.attempts += 1
        return longest_wait(self.first, self.most, self.attempts)
