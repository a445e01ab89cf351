"""Tombstones, and when they may be forgotten.

A tombstone that is dropped too early lets the deleted value return, from a node that missed the deletion. Age alone
does not tell: a node may be away for longer than any grace period. So the first home of a key asks all the others
until each has the tombstone on disk, waits for the *grace period* from then on, and tells everybody to drop it. Older
versions can then be nowhere but under way, in hints, or with coordinators that still look for somebody to take them as
hints. These are done after `Dynamo.longest_work`, hints expire after `Dynamo.hint_expiry`, and no message is under way
for longer than what the grace period has beyond both (an assumption: a node that stands still for longer, or a client
that goes on trying a write that a read has seen, breaks it).

Costs 3(N - 1) messages a deletion, once. DeCandia et al. 2007 say nothing of tombstones; grace periods and the danger
of hints are those of Cassandra and Riak, the confirmation by all is what makes them safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Part
from sim.protocols.replication.dynamo.messages import Confirm, Confirmed, Purge

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.replica import DynamoNode

__all__ = ["Collector"]


class _Confirming:
    """A tombstone, who is known to have it, and since when everybody is."""

    __slots__ = ("by", "since", "version")

    def __init__(self, version: Any, first: str) -> None:
        self.version = version
        self.by: dict[str, None] = {first: None}
        self.since: float | None = None


class Collector(Part):
    """Sees to the tombstones of the keys whose first home this node is."""

    node: DynamoNode

    def on_start(self) -> None:
        self.tombstones: dict[str, _Confirming] = {}
        self.ticking = False
        for key, version in self.node.store.items():
            self.changed(key, version)

    def changed(self, key: str, version: Any) -> None:
        """What this node stores of a key is another version now; None: nothing."""
        if version is None or not version.is_tombstone:
            self.tombstones.pop(key, None)
        elif self.node.settings.homes(key)[0] == self.name:
            self.tombstones[key] = _Confirming(version, self.name)
            self.wind_up()

    def wind_up(self) -> None:
        """See to the tombstones from time to time, while there are any."""
        if self.tombstones and not self.ticking:
            self.ticking = True
            self.set_timer("collect", self.node.settings.grace / 4)

    def on_collect_timeout(self) -> None:
        self.ticking = False
        for key, tombstone in list(self.tombstones.items()):
            self.see_to(key, tombstone)
        self.wind_up()

    def see_to(self, key: str, tombstone: _Confirming) -> None:
        """Ask those who have not confirmed; when all have for long enough, have it dropped."""
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
        """Drop it, unless something has been written since."""
        if self.node.store.get(msg.key) == msg.version:
            self.node.drop(msg.key)
            self.record("purged", key=msg.key)
