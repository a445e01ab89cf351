"""Hinted handoff: a node keeps writes for an unreachable home, and delivers them later (DeCandia et al. 2007, 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Part, durable_map
from sim.protocols.replication.dynamo.messages import Handoff, HandoffAck
from sim.protocols.replication.dynamo.versions import covers, merged

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.replica import DynamoNode

__all__ = ["HintedHandoff"]

_BATCH = 64  # hints per message

Hint = tuple[str, Any, float]
"""(home, version, time of arrival in seconds on `HintedHandoff.clock`)."""


class HintedHandoff(Part):
    """Keeps hints, and delivers them to their homes.

    A hint contains the version as it was written, and the time at which this node first received it. It expires before
    any tombstone that covers it can be purged (`Dynamo.hints_outlive_tombstones`); else it would restore a deleted
    value.
    """

    node: DynamoNode
    hints = durable_map()  # key -> hints

    def on_start(self) -> None:
        self.ahead = (
            self.now - self.monotonic
        )  # wall clock minus monotonic clock (s), when this incarnation began
        self.ticking = False
        self.batches = 0
        self.sent: dict[str, tuple[tuple[int, int], tuple[tuple[str, Any, float], ...]]] = {}
        self.wind_up()

    @property
    def clock(self) -> float:
        """The wall time (s) when this incarnation began, plus the monotonic time since then.

        Hints are on disk, so their age must be known after a restart, too; but setting the wall clock changes no age.
        """
        return self.monotonic + self.ahead

    def wind_up(self) -> None:
        """Set the timer of the next delivery, if there are hints."""
        if self.hints and not self.ticking:
            self.ticking = True
            self.set_timer("handoff", self.node.settings.handoff_every)

    def is_expired(self, hint: Hint) -> bool:
        """Whether a hint is too old to be delivered."""
        return self.clock - hint[2] >= self.node.settings.hint_expiry

    def add(self, home: str, key: str, version: Any) -> None:
        """Keep a version as a hint for a home; it replaces older hints that it covers."""
        others = [hint for hint in self.hints.get(key, ()) if not self.is_expired(hint)]
        if not any(hint[0] == home and covers(hint[1], version) for hint in others):
            others = [hint for hint in others if hint[0] != home or not covers(version, hint[1])]
            others.append((home, version, self.clock))
        self.put_back(key, others)
        self.wind_up()

    def put_back(self, key: str, hints: list[Hint]) -> None:
        """Set the hints of a key."""
        if tuple(hints) != self.hints.get(key, ()):
            if hints:
                self.hints[key] = tuple(hints)
            else:
                del self.hints[key]

    def held(self, key: str) -> Any:
        """The merge of the hints of a key that have not expired; None: there are none."""
        version = None
        for hint in self.hints.get(key, ()):
            if not self.is_expired(hint):
                version = merged(version, hint[1])
        return version

    def on_handoff_timeout(self) -> None:
        """Drop expired hints, and offer the others to their homes."""
        self.ticking = False
        for key in list(self.hints):
            self.put_back(key, [hint for hint in self.hints[key] if not self.is_expired(hint)])
        for home in dict.fromkeys(hint[0] for hints in self.hints.values() for hint in hints):
            self.offer(home)
        self.wind_up()

    def offer(self, home: str) -> None:
        """Send a batch of hints to their home; the next batch follows its acknowledgement."""
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
            # The message promises nothing about this disk, and hints must not expire while it waits for the disk.
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
