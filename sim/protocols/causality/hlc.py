"""Hybrid logical clocks: timestamps that keep the order of causes, and stay close to the wall clock.

Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks" (OPODIS 2014), figure 5. ``pt`` is the node's wall
clock in seconds, however wrong; ``l`` is the highest wall clock heard of, and ``c`` counts events among equal ``l``.

Departure: a node that has seen no event stands at minus infinity, not at 0, so that clocks may show negative times.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BEGINNING", "HybridTime"]


class HybridTime(NamedTuple):
    """The clock of a node, and the timestamp of an event; ordered by ``l`` (seconds), then by ``c``."""

    l: float  # noqa: E741 - the paper's name
    c: int

    def tick(self, pt: float) -> HybridTime:
        """Send or local event: the clock after it, which is its timestamp."""
        highest = max(self.l, pt)
        return HybridTime(highest, self.c + 1 if highest == self.l else 0)

    def receive(self, message: HybridTime, pt: float) -> HybridTime:
        """Receive event of a message with this timestamp: the clock after it."""
        highest = max(self.l, message.l, pt)
        if highest == self.l == message.l:
            count = max(self.c, message.c) + 1
        elif highest == self.l:
            count = self.c + 1
        elif highest == message.l:
            count = message.c + 1
        else:
            count = 0
        return HybridTime(highest, count)


BEGINNING = HybridTime(float("-inf"), 0)
"""Before every event."""
