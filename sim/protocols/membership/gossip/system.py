"""A database replicated only by gossip: any member accepts writes and answers reads; updates spread as epidemics.

The protocol is in `epidemic` (Demers et al. 1987). This file has the system: members with an `Epidemic` part, and
clients that write (``put`` starts a rumour) and read (``get`` reads the copy of the nearest member).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, inf, log2
from typing import Any, ClassVar

from sim.invariants import Stored, promises
from sim.node import Node, part
from sim.protocols.client import Reply, Request
from sim.protocols.membership.gossip.epidemic import AntiEntropy, Epidemic, Mongering, Written
from sim.protocols.membership.heartbeats import MembershipClient
from sim.protocols.system import ReplicatedSystem
from sim.settings import Seconds, Several
from sim.system import Invariant

__all__ = ["Gossip", "GossipNode"]


class GossipNode(Node):
    """A member with a copy of the database."""

    epidemic = part(Epidemic)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if command.kind == "get":
            value, result = self.epidemic.read(command.key), None
        else:
            value, result = command.value, self.epidemic.write(command.key, command.value).version
        self.send(src, Reply(command.session, command.sequence, "ok", value, result))


@dataclass(frozen=True, kw_only=True)
class Gossip(ReplicatedSystem):
    """Members that spread updates written at any member.

    Parameters
    ----------
    nodes:
        The number of members (>= 2), named n0, n1, ...
    mongering:
        How rumours are spread; None: no rumours.
    anti_entropy:
        How databases are compared; None: never, so that some members may never receive an update.
    cycle:
        Seconds from one cycle of rumour mongering to the next; None: two heartbeats.
    synchronous:
        All members begin their cycles together, as the analysis in the paper assumes. False: at random offsets.
    """

    nodes: Several = 5
    mongering: Mongering | None = field(default_factory=lambda: Mongering("push-pull"))
    anti_entropy: AntiEntropy | None = field(default_factory=AntiEntropy)
    cycle: Seconds | None = None
    synchronous: bool = False

    node_class: ClassVar[type[Node]] = GossipNode
    outlives_minority: ClassVar[bool] = True
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mongering is None and self.anti_entropy is None:
            raise ValueError("Gossip: with mongering=None and anti_entropy=None nothing would spread")
        if self.mongering is not None and self.mongering.fanout >= self.nodes:
            raise ValueError(
                f"Gossip: a fanout of {self.mongering.fanout} is more than the {self.nodes - 1} others there are"
            )

    @property
    def client_class(self) -> type[Node]:
        return MembershipClient

    @property
    def consistency(self) -> str | None:
        return None if self.anti_entropy is None else "eventual"

    @property
    def converges_within(self) -> float | None:
        """In comparisons with random partners: 2 log2 n until most members have an update, 20 more for the rest."""
        return (
            None if self.anti_entropy is None else (20 + 2 * ceil(log2(self.nodes))) * self.anti_entropy.every
        )

    def replica_values(self, nodes: Mapping[str, Node]) -> dict[str, dict[str, Any]]:
        members = {name: node for name, node in nodes.items() if isinstance(node, GossipNode)}
        return {m: {k: u.value for k, u in node.epidemic.updates.items()} for m, node in members.items()}

    def invariants(self) -> Iterable[Invariant]:
        promised = promises(lambda kind: hasattr(kind, "updates"), keeps="epidemic.updates", shown=_holds)
        return (GossipSafety(), promised)

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The members that lack an update of another one; none without anti-entropy, as rumours may not reach all."""
        members = [node for node in nodes.values() if isinstance(node, GossipNode)]
        if self.anti_entropy is None:
            return ()
        newest = newest_of(members)
        return tuple(
            n.name for n in members if {k: u.version for k, u in n.epidemic.updates.items()} != newest
        )

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """The number of acknowledged writes that are newer than every update of their keys at live members."""
        newest = newest_of([node for node in nodes.values() if isinstance(node, GossipNode)])
        nothing = (-inf, "")
        return sum(newest.get(a.operation.key, nothing) < tuple(a.result) for a in acknowledged.values())


def newest_of(members: Iterable[GossipNode]) -> dict[str, tuple[float, str]]:
    """Key -> the newest version of it at any of the members."""
    newest: dict[str, tuple[float, str]] = {}
    for member in members:
        for key, update in member.epidemic.updates.items():
            if key not in newest or update.version > newest[key]:
                newest[key] = update.version
    return newest


def _holds(stored: Stored, message: Any, dst: str) -> bool:
    """Whether the disk has what a message tells, or something newer of each key."""
    held = stored("epidemic.updates")
    return all(u.key in held and held[u.key].version >= u.version for u in message.updates)


@dataclass
class GossipSafety(Invariant):
    """Updates come from their writers, and versions at a member never go back.

    - A version identifies one value, and its writer is the first member to have it.
    - The version of a key at a member only becomes newer; after a restart it is not older than what the member sent.
    """

    def __post_init__(self) -> None:
        self.written: dict[tuple[str, tuple[float, str]], Any] = {}
        self.held: dict[
            tuple[str, str], tuple[float, str]
        ] = {}  # (member, key) -> version, in this incarnation
        self.told: dict[tuple[str, str], tuple[float, str]] = {}  # (member, key) -> newest version sent, ever
        self.changed: dict[str, dict[str, None]] = {}  # member -> keys
        self.hosts: dict[str, Any] = {}

    def on_send(self, src: str, dst: str, message: Any) -> None:
        for update in getattr(message, "updates", ()):
            if src not in self.hosts:
                continue
            self.check_value(src, update)
            self.told[src, update.key] = max(self.told.get((src, update.key), update.version), update.version)

    def check_value(self, node: str, update: Written) -> None:
        """Check that an update was written by its writer, with this value."""
        known = (update.key, update.version)
        if known not in self.written and node != update.writer:
            self.violated(
                node,
                f"it has {update}",
                f"{update.writer} has not written it",
                invariant="an update comes from its writer",
            )
        if self.written.setdefault(known, update.value) != update.value:
            self.violated(
                node,
                f"it has {update}",
                f"{update.writer} wrote {self.written[known]!r}",
                invariant="a version names one value",
            )

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "learned":
            self.changed.setdefault(node, {})[detail["key"]] = None
        elif event == "crash":  # updates that were not synced may be lost
            self.held = {pair: version for pair, version in self.held.items() if pair[0] != node}
        elif event == "restart" and detail.get("wiped"):
            self.told = {pair: version for pair, version in self.told.items() if pair[0] != node}

    def on_step(self, node: Node) -> None:
        if not isinstance(node, GossipNode):
            return
        self.hosts[node.name] = node.host
        for key in self.changed.pop(node.name, ()):
            update = node.epidemic.updates[key]
            if update.writer != node.name:  # it may lose its own update and write again before it sends it
                self.check_value(node.name, update)
            known = (self.held.get((node.name, key)), self.told.get((node.name, key)))
            before = max((version for version in known if version is not None), default=None)
            if before is not None and update.version < before:
                self.violated(
                    node.name,
                    f"it had version {before} of {key}",
                    f"it has {update}",
                    invariant="what is known only gets newer",
                )
            self.held[node.name, key] = update.version
