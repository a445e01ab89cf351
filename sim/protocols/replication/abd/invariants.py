"""What holds in every run of ABD: timestamps name values, are kept, and follow the order of operations."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, ClassVar

from sim.invariants import Stored
from sim.protocols.replication.abd.messages import EMPTY, ZERO, Store, StoreAck, Timestamp
from sim.system import Invariant

__all__ = ["AbdAtomic", "AbdSafety"]


@dataclass
class AbdSafety(Invariant):
    """A timestamp identifies one value; a server has stored what it acknowledges, and its timestamps only grow."""

    hears = (Store,)

    def __post_init__(self) -> None:
        self.values: dict[tuple[str, Timestamp], Any] = {}
        self.acked: dict[tuple[str, str], Timestamp] = {}
        self.asked: dict[tuple[int, int], str] = {}

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.asked[message.session, message.sequence] = message.key
        known = self.values.setdefault((message.key, message.timestamp), message.value)
        if known != message.value:
            self.violated(
                src,
                f"{message.timestamp} of {message.key} stood for {known!r}",
                f"{src} stores {message.value!r} under it",
                invariant="a timestamp names one value",
            )

    def is_stored(self, stored: Stored, ack: StoreAck, client: str) -> bool:
        """Whether every value that the server has acknowledged, or a newer one, would survive a crash now."""
        key = self.asked[ack.session, ack.sequence]
        acked = (stored.node.name, key)
        self.acked[acked] = max(self.acked.get(acked, ZERO), ack.timestamp)
        held: Timestamp = stored("registers").get(key, EMPTY).timestamp
        return held >= self.acked[acked]


@dataclass
class AbdAtomic(Invariant):
    """Timestamps respect the real-time order of operations (Lynch, Distributed Algorithms, lemma 13.16).

    An operation called after another had returned has at least the other's timestamp; a write has a higher one.
    """

    title: ClassVar[str] = "timestamps follow the order of operations"

    def __post_init__(self) -> None:
        self.returned: dict[str, list[float]] = {}  # key -> times at which its operations returned, in order
        self.newest: dict[
            str, list[Timestamp]
        ] = {}  # key -> the highest timestamp returned by each of these times

    def on_acknowledged(self, client: str, operation: Any) -> None:
        key, timestamp = operation.operation.key, operation.result
        returned, newest = self.returned.setdefault(key, []), self.newest.setdefault(key, [])
        earlier = bisect_left(returned, operation.called)
        before = newest[earlier - 1] if earlier else (0, -2)
        is_write = operation.operation.kind != "get"
        if timestamp < before or (is_write and timestamp == before):
            self.violated(
                (client,),
                f"{before} of {key} had been returned by {returned[earlier - 1]:.6f} s",
                f"a {operation.operation.kind} called at {operation.called:.6f} s has {timestamp}",
            )
        returned.append(operation.returned)
        newest.append(max(timestamp, newest[-1]) if newest else timestamp)
