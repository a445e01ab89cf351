"""The guarantees of broadcasts, as invariants over a ghost record of all that was broadcast and delivered.

Hadzilacos & Toueg 1994, section 3; Cachin et al. 2011, modules 3.1 to 3.9 and 6.1. The ghost sees each event
``broadcast`` and ``deliver``. Events that a crash removed from a node's disk are removed from the ghost at the
restart, because no other node can know of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.causality.dots import Dot
from sim.system import Invariant

__all__ = ["BroadcastInvariants", "Memory"]

Memory = Callable[[Any], tuple[int, int | None]]
"""Disk -> how many messages its member has broadcast, and delivered; None: a restart delivers all again."""


@dataclass
class BroadcastInvariants(Invariant):
    """Safety after every event, agreement at the end.

    Parameters
    ----------
    group:
        The members.
    memory:
        What a restart knows of.
    order:
        ``"any"``, ``"fifo"``, ``"causal"`` or ``"total"``.
    agreement:
        ``"none"``; ``"reliable"``: what a live member has delivered, all have; ``"uniform"``: what a dead one has, too.
    quiet:
        Whether nothing is under way between these live members any more; agreement and validity are asked then only.
    """

    group: tuple[str, ...] = ()
    memory: Memory = lambda disk: (0, None)
    order: str = "any"
    agreement: str = "none"
    quiet: Callable[[Mapping[str, Node]], bool] = lambda nodes: False

    order_invariant: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"fifo": "FIFO order", "causal": "causal order"}
    )

    sequences: dict[str, list[Dot]] = field(default_factory=dict)  # member -> its deliveries, in order
    places: dict[str, dict[Dot, int]] = field(default_factory=dict)  # the same: message -> its place
    bodies: dict[Dot, Any] = field(default_factory=dict)  # of all that was broadcast
    pasts: dict[Dot, dict[str, int]] = field(
        default_factory=dict
    )  # origin -> how many of its messages precede
    counts: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # member -> origin -> how many it has delivered
    latest: dict[str, list[Dot]] = field(default_factory=dict)  # origin -> its messages, in order
    disks: dict[str, Any] = field(default_factory=dict)
    born: dict[Dot, int] = field(default_factory=dict)  # message -> the incarnation of its origin
    epochs: dict[str, int] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        if self.epochs.get(node.name) != node.incarnation and node.name in self.group:
            self.disks[node.name] = node.host.disk
            self.epochs[node.name] = node.incarnation

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "broadcast":
            self.was_broadcast(node, detail["number"], detail["body"])
        elif event == "deliver":
            self.was_delivered(node, (detail["origin"], detail["number"]), detail["body"])
        elif event == "restart":
            self.forget_what_was_lost(node)

    def was_broadcast(self, node: str, number: int, body: Any) -> None:
        """Note the message, and what its origin had broadcast and delivered before."""
        dot = (node, number)
        if dot in self.bodies:
            self.violated(
                node, f"{dot} was {self.bodies[dot]!r}", f"now it is {body!r}", invariant="no creation"
            )
        self.bodies[dot] = body
        self.born[dot] = self.epochs.get(node, 0)
        own = self.latest.setdefault(node, [])
        if self.order == "causal":
            self.pasts[dot] = {**self.counts.get(node, {}), node: number - 1}
        elif self.order == "fifo":
            self.pasts[dot] = {node: number - 1}
        own.append(dot)

    def was_delivered(self, node: str, dot: Dot, body: Any) -> None:
        """No duplication, no creation, and the order."""
        sequence, places = self.sequences.setdefault(node, []), self.places.setdefault(node, {})
        if dot in places:
            self.violated(
                node,
                f"{node} had delivered {dot} as number {places[dot]}",
                "again",
                invariant="no duplication",
            )
        if dot not in self.bodies or self.bodies[dot] != body:
            known = repr(self.bodies.get(dot, "nothing"))
            self.violated(
                node,
                f"{dot[0]} broadcast {known} as {dot}",
                f"{node} delivers {body!r}",
                invariant="no creation",
            )
        counts = self.counts.setdefault(node, {})
        for origin, n in self.pasts.get(dot, {}).items():
            if counts.get(origin, 0) < n:
                self.violated(
                    node,
                    f"{n} messages of {origin} come before {dot}",
                    f"{node} has delivered {counts.get(origin, 0)}",
                    invariant=self.order_invariant[self.order],
                )
        counts[dot[0]] = counts.get(dot[0], 0) + 1
        places[dot] = len(sequence)
        sequence.append(dot)
        if self.order == "total":
            self.check_total(node)

    def check_total(self, node: str) -> None:
        """The k-th message is the same everywhere."""
        k = len(self.sequences[node]) - 1
        dot = self.sequences[node][k]
        for other, theirs in self.sequences.items():
            if len(theirs) > k and theirs[k] != dot:
                self.violated(
                    node,
                    f"{other} delivered {theirs[k]} as number {k}",
                    f"{node} {dot}",
                    invariant="total order",
                )

    def forget_what_was_lost(self, node: str) -> None:
        """At a restart: remove events that are not on the disk, unless other members know of them."""
        if node not in self.disks:
            return
        sent, delivered = self.memory(self.disks[node])
        kept = delivered or 0
        for dot in self.sequences.get(node, [])[kept:]:
            del self.places[node][dot]
            self.counts[node][dot[0]] -= 1
        del self.sequences.setdefault(node, [])[kept:]
        own = self.latest.get(node, [])
        for dot in own[sent:]:
            # Not by `promises` (sim/invariants/durable.py), which would need the fields and envelopes of each order. A
            # broadcast promises that its name is never used again: a delivery elsewhere shows that it may be.
            having = [other for other, places in self.places.items() if dot in places]
            if having:
                self.violated(
                    node,
                    f"{having[0]} has delivered {dot}",
                    f"{node} has forgotten it",
                    invariant="durable before send",
                )
            del self.bodies[dot], self.born[dot]
            self.pasts.pop(dot, None)
        del own[sent:]

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        members = {name: node for name, node in nodes.items() if name in self.disks}
        if not self.quiet(members):
            return
        self.check_validity(members)
        known: dict[Dot, str] = {}  # what all must have -> who has it
        for name in self.sequences:
            if self.agreement == "uniform" or (self.agreement == "reliable" and name in members):
                survives = None if name in members else self.memory(self.disks[name])[1]
                known.update(dict.fromkeys(self.sequences[name][:survives], name))
        invariant = "uniform agreement" if self.agreement == "uniform" else "agreement"
        for dot, who in known.items():
            for name in members:
                if dot not in self.places.get(name, {}):
                    self.violated(
                        name, f"{who} has delivered {dot}", f"{name} never does", invariant=invariant
                    )

    def check_validity(self, members: Mapping[str, Node]) -> None:
        """A message of its origin's current incarnation is delivered by all (best effort), or by its origin."""
        for dot in self.bodies:
            origin = dot[0]
            if origin not in members or self.born[dot] != self.epochs[origin]:
                continue
            for name in members:
                if dot not in self.places.get(name, {}):
                    self.violated(
                        name, f"{origin} broadcast {dot}", f"{name} never delivers it", invariant="validity"
                    )
