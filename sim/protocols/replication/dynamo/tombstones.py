"""Tombstones, and when they may be dropped.

If a tombstone is dropped too early, a node that missed the deletion may restore the deleted value. The age of a
tombstone is not a sufficient criterion: a node may be down for longer than any grace period. So the first home of a key
asks all the others until each has the tombstone on disk, waits for the *grace period* from then on, and tells all homes
to drop it. Older versions can then only be in flight, in hints, or at coordinators that still look for stand-ins.
Coordinators finish after `Dynamo.longest_work`, hints expire after `Dynamo.hint_expiry`, and no message is in flight
for longer than the rest of the grace period. (The last is an assumption: a node that is paused for longer, or a client
that keeps retrying a write that a read has seen, violates it.)

Cost: 3(N - 1) messages per deletion. DeCandia et al. 2007 do not describe tombstones. Grace periods, and the danger of
hints, are known from Cassandra and Riak; the confirmation by all homes makes grace periods safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Part
from sim.protocols.replication.dynamo.messages import Confirm, Confirmed, Purge

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.replica import DynamoNode

__all__ = ["Collector"]


class _Confirming:
    """A tombstone, the homes known to have it (``by``), and the time (s) since which all have it (``since``)."""

    __slots__ = ("by", "since", "version")

    def __init__(self, version: Any, first: str) -> None:
        self.version = version
        self.by: dict[str, None] = {first: None}
        self.since: float | None = None


class Collector(Part):
    """Collects the tombstones of the keys whose first home this node is."""

    node: DynamoNode

    def on_start(self) -> None:
        self.tombstones: dict[str, _Confirming] = {}
        self.ticking = False
        for key, version in self.node.store.items():
            self.changed(key, version)

    def changed(self, key: str, version: Any) -> None:
        """Note that this node's version of a key has changed; None: it holds none."""
        if version is None or not version.is_tombstone:
            self.tombstones.pop(key, None)
        elif self.node.settings.homes(key)[0] == self.name:
            self.tombstones[key] = _Confirming(version, self.name)
            self.wind_up()

    def wind_up(self) -> None:
        """Set the timer of the next collection, if there are tombstones."""
        if self.tombstones and not self.ticking:
            self.ticking = True
            self.set_timer("collect", self.node.settings.grace / 4)

    def on_collect_timeout(self) -> None:
        self.ticking = False
        for key, tombstone in list(self.tombstones.items()):
            self.see_to(key, tombstone)
        self.wind_up()

    def see_to(self, key: str, tombstone: _Confirming) -> None:
        """Ask the homes that have not confirmed; when all have confirmed for the grace period, send Purge."""
        homes = self.node.settings.homes(key)
        missing = [home for home in homes if home not in tombstone.by]
        if missing:
            self.broadcast(Confirm(key, tombstone.version), to=missing)
            return
        if tombstone.since is None:
            tombstone.since = self.monotonic
        if self.monotonic - tombstone.since >= self.node.settings.grace:
            self.broadcast(Purge(key, tombstone.version), to=homes)

    def on_confirm(self, src: str, msg: Confirm) -> None:
        self.node.keep(msg.key, msg.version)
        self.send(src, Confirmed(msg.key, msg.version))

    def on_confirmed(self, src: str, msg: Confirmed) -> None:
        tombstone = self.tombstones.get(msg.key)
        if tombstone is not None and tombstone.version == msg.version:
            tombstone.by[src] = None

    def on_purge(self, src: str, msg: Purge) -> None:
        """Drop the tombstone, unless the key was written since."""
        if self.node.store.get(msg.key) == msg.version:
            self.node.drop(msg.key)
            self.record("purged", key=msg.key)
