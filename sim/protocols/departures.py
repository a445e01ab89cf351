"""The times at which requests were sent: a lease counts from the time at which its holder sent the request.

A request contains a *stamp*, and the answer returns it. The time itself stays at the node, because readings of a
monotonic clock have no meaning for other nodes, or for this node after a restart. So a stamp contains the incarnation,
and `Departures.time_of` returns None for the stamp of another incarnation.
"""

from __future__ import annotations

from collections import deque

from sim.node import Verbs

__all__ = ["Departures", "Stamp"]

Stamp = tuple[int, int]
"""(incarnation, number) of a request that was sent."""


class Departures:
    """The times at which one node sent its latest requests.

    ``keep``: how long (seconds) a time is remembered: as long as an answer to the request is useful.
    """

    def __init__(self, node: Verbs, keep: float) -> None:
        self._node = node
        self._keep = keep
        self._sent: deque[float] = deque()  # monotonic times, the latest last
        self._forgotten = 0

    def stamp(self) -> Stamp:
        """The stamp for a request that is sent now."""
        now, sent = self._node.monotonic, self._sent
        while sent and now - sent[0] > self._keep:
            sent.popleft()
            self._forgotten += 1
        sent.append(now)
        return self._node.incarnation, self._forgotten + len(sent)

    def time_of(self, stamp: Stamp) -> float | None:
        """The monotonic time (seconds) of a stamp; None: it is from another incarnation, or too old."""
        incarnation, number = stamp
        if incarnation != self._node.incarnation or number <= self._forgotten:
            return None
        return self._sent[number - self._forgotten - 1]
