"""When what was sent: for leases, which count from the moment at which their holder asked.

A request carries a *stamp*, and its answer brings the stamp back. The time itself stays here: a monotonic clock means
nothing to others, nor to this node after a restart. So a stamp names the incarnation, and that of another one is
answered with None.
"""

from __future__ import annotations

from collections import deque

from sim.node import Verbs

__all__ = ["Departures", "Stamp"]

Stamp = tuple[int, int]
"""(incarnation, number) of something that was sent."""


class Departures:
    """When one node sent its latest requests.

    ``keep``: for how long (seconds) that is remembered: as long as an answer is of any use.
    """

    def __init__(self, node: Verbs, keep: float) -> None:
        self._node = node
        self._keep = keep
        self._sent: deque[float] = deque()  # monotonic times, the latest last
        self._forgotten = 0

    def stamp(self) -> Stamp:
        """The stamp of what is sent now."""
        now, sent = self._node.monotonic, self._sent
        while sent and now - sent[0] > self._keep:
            sent.popleft()
            self._forgotten += 1
        sent.append(now)
        return self._node.incarnation, self._forgotten + len(sent)

    def time_of(self, stamp: Stamp) -> float | None:
        """When that was sent, on the monotonic clock; None: in another incarnation, or too long ago."""
        incarnation, number = stamp
        if incarnation != self._node.incarnation or number <= self._forgotten:
            return None
        return self._sent[number - self._forgotten - 1]
