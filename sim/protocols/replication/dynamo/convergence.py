"""The invariant that all homes of a key converge, and that deleted keys stay deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.node import Node
from sim.protocols.replication.dynamo.invariants import DynamoSafety
from sim.protocols.replication.dynamo.messages import Handoff, HandoffAck, Leaves, Put, Repair, Tree, Update
from sim.system import Invariant

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.system import Dynamo

__all__ = ["Converged"]

_MESSAGES = 4  # detection times allowed for messages, as in `sim.lab.simulation`
_HEALING = (Tree, Leaves, Handoff, HandoffAck)


@dataclass(kw_only=True)
class Converged(Invariant):
    """At the end, all homes of a key hold the same version, if the last write and fault are long enough ago.

    Checked only if no message of anti-entropy or hints has been lost or is in flight since then. Deleted keys are then
    deleted everywhere, with any quorums.
    """

    title = "converged after healing"
    hears = (Update, Put, Repair, *_HEALING)
    system: Dynamo
    safety: DynamoSafety
    last: float = 0.0
    open: dict[tuple[str, str], int] = field(default_factory=dict)
    judged: bool = False

    def disturbed(self) -> None:
        """Note an event after which replicas may differ."""
        self.last = self.now()
        self.open.clear()

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ in (Update, Put, Repair):
            self.disturbed()
        elif message.__class__ in _HEALING:
            self.open[src, dst] = self.open.get((src, dst), 0) + 1

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ in (Update, Put, Repair):
            self.disturbed()
        elif message.__class__ in _HEALING and self.open.get((src, dst)):
            self.open[src, dst] -= 1

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event != "purged":
            self.disturbed()

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        bound = self.system.converges_within
        if bound is None or self.now() - self.last < bound + _MESSAGES * self.system.timeout:
            return
        if any(self.open.values()):
            return
        members: dict[str, Any] = {name: node for name, node in nodes.items() if name in self.system.names}
        if len(members) < self.system.nodes:
            return
        self.judged = True
        stores = {name: member.store for name, member in members.items()}
        for key in sorted({key for store in stores.values() for key in store}):
            held = {home: stores[home].get(key) for home in self.system.homes(key)}
            # A tombstone counts as no version, because it may be purged at some homes already.
            shown = [
                None if version is None or version.is_tombstone else version for version in held.values()
            ]
            if any(version != shown[0] for version in shown):
                facts = [f"{home} holds {version!r} of {key}" for home, version in held.items()]
                self.violated(held, f"the last disturbance was at {self.last:.6f} s", *facts)
            for home, version in held.items():
                self.safety.must_stay_deleted(home, key, version, self.now())
