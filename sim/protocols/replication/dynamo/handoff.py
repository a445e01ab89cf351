"""Hinted handoff: what a node keeps for another that was not to be had, and gives back (DeCandia et al. 2007, 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Part, durable_map
from sim.protocols.replication.dynamo.messages import Handoff, HandoffAck
from sim.protocols.replication.dynamo.versions import covers, merged

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.replica import DynamoNode

__all__ = ["HintedHandoff"]

_BATCH = 64  # hints to a message

Hint = tuple[str, Any, float]
"""(home, version, since when it is kept, in seconds on `HintedHandoff.clock`)."""


class HintedHandoff(Part):
    """Hints, and their way home.

    A hint keeps the version as it was written, and the time at which this node got it first. It expires before any
    tombstone that covers it can be purged (`Dynamo.hints_outlive_tombstones`): else it would bring back what was
    deleted.
    """

    node: DynamoNode
    hints = durable_map()  # key -> hints

    def on_start(self) -> None:
        self.ahead = self.now - self.monotonic  # of the wall clock, when this incarnation began
        self.ticking = False
        self.batches = 0
        self.sent: dict[str, tuple[tuple[int, int], tuple[tuple[str, Any, float], ...]]] = {}
        self.wind_up()

    @property
    def clock(self) -> float:
        """The wall clock as it was when this incarnation began, and as much later as the monotonic clock says since.

        Hints are on disk, so their age must be told after a restart, too; but a clock that is set changes no age.
        """
        return self.monotonic + self.ahead

    def wind_up(self) -> None:
        """See to it that hints are offered from time to time, while there are any."""
        if self.hints and not self.ticking:
            self.ticking = True
            self.set_timer("handoff", self.node.settings.handoff_every)

    def is_expired(self, hint: Hint) -> bool:
        """Whether a hint is too old to be given back."""
        return self.clock - hint[2] >= self.node.settings.hint_expiry

    def add(self, home: str, key: str, version: Any) -> None:
        """Keep a version for its home, with what it replaces of older hints."""
        others = [hint for hint in self.hints.get(key, ()) if not self.is_expired(hint)]
        if not any(hint[0] == home and covers(hint[1], version) for hint in others):
            others = [hint for hint in others if hint[0] != home or not covers(version, hint[1])]
            others.append((home, version, self.clock))
        self.put_back(key, others)
        self.wind_up()

    def put_back(self, key: str, hints: list[Hint]) -> None:
        """These are all hints of a key now."""
        if tuple(hints) != self.hints.get(key, ()):
            if hints:
                self.hints[key] = tuple(hints)
            else:
                del self.hints[key]

    def held(self, key: str) -> Any:
        """What the hints of a key say together; None if there are none."""
        version = None
        for hint in self.hints.get(key, ()):
            if not self.is_expired(hint):
                version = merged(version, hint[1])
        return version

    def on_handoff_timeout(self) -> None:
        """Drop what has expired, and offer the rest to its homes."""
        self.ticking = False
        for key in list(self.hints):
            self.put_back(key, [hint for hint in self.hints[key] if not self.is_expired(hint)])
        for home in dict.fromkeys(hint[0] for hints in self.hints.values() for hint in hints):
            self.offer(home)
        self.wind_up()

    def offer(self, home: str) -> None:
        """Send a batch of hints to their home; the next one follows when it has them."""
        batch = tuple(
            (key, version, since)
            for key, hints in self.hints.items()
            for whose, version, since in hints
            if whose == home and not self.is_expired((whose, version, since))
        )[:_BATCH]
        if batch:
            self.batches += 1
            number = (self.incarnation, self.batches)
            self.sent[home] = (number, batch)
            # It promises nothing about this disk, and must not grow old while it waits for it.
            self.send(home, Handoff(number, batch), hold=False)

    def on_handoff(self, src: str, msg: Handoff) -> None:
        for key, version, _ in msg.hints:
            self.node.keep(key, version)
        self.send(src, HandoffAck(msg.number))

    def on_handoff_ack(self, src: str, msg: HandoffAck) -> None:
        number, batch = self.sent.get(src, (None, ()))
        if number != msg.number:
            return
        del self.sent[src]
        for key, version, since in batch:
            self.put_back(key, [hint for hint in self.hints.get(key, ()) if hint != (src, version, since)])
        self.offer(src)
