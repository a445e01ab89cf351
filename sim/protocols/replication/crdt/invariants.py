"""The invariants of CRDT replicas. Each invariant has a mutant that violates it (tests/protocols).

Whether replicas converge is checked after the run (`sim.lab.simulation.Simulation.settle`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.invariants import DurableBeforeSend, Stored
from sim.node import Node
from sim.protocols.causality.dots import EMPTY
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.replication.crdt.containers import OrMap, OrSet
from sim.protocols.replication.crdt.registers import LwwRegister, MvRegister
from sim.protocols.replication.crdt.system import CrdtNode, Spread
from sim.system import Invariant

__all__ = ["JoinsKeep", "NoGaps", "OneUpdatePerDot", "StatesGrow", "UpdatesAsSaid"]


@dataclass
class StatesGrow(DurableBeforeSend):
    """Everything that a replica has ever sent is in its state on disk: states only grow, also over restarts."""

    concerns: Callable[[type], bool] = field(default=lambda kind: kind is Spread)
    keeps: tuple[str, ...] = ("states",)
    sent: dict[tuple[str, str], Any] = field(default_factory=dict)

    def is_shown(self, stored: Stored, message: Spread, dst: str) -> bool:
        """Whether the disk contains everything that this actor has ever sent about these keys."""
        for key, state in message.states:
            latest = self.sent.get((message.actor, key))
            latest = self.sent[message.actor, key] = state if latest is None else latest.merge(state)
            held = stored("states").get(key)
            if held is None or held.merge(latest) != held:
                return False
        return True


@dataclass
class _AcrossSteps(Invariant):
    """Compares what a replica had when a message arrived with what it has after that step."""

    steps_of = (CrdtNode,)
    nodes: dict[str, CrdtNode] = field(default_factory=dict)
    under_way: dict[str, Any] = field(default_factory=dict)  # replica -> what `look` returned

    def look(self, node: CrdtNode, message: Any) -> Any:
        """What is of interest before the step; None: nothing is."""
        raise NotImplementedError

    def compare(self, node: CrdtNode, before: Any) -> None:
        """Report what is wrong after the step."""
        raise NotImplementedError

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        node = self.nodes.get(dst)
        before = None if node is None else self.look(node, message)
        if before is not None:
            self.under_way[dst] = before

    def on_step(self, node: Node) -> None:
        assert isinstance(node, CrdtNode)
        self.nodes[node.name] = node
        before = self.under_way.pop(node.name, None)
        if before is not None:
            self.compare(node, before)


@dataclass
class NoGaps(_AcrossSteps):
    """The causal delta-merging condition (definition 5): a replica that merges a delta has all earlier updates.

    Therefore every replica has seen each actor's updates without gaps, and contexts are version vectors.
    """

    title: ClassVar[str] = "no gaps before a delta"
    hears = (Spread,)

    def look(self, node: CrdtNode, message: Spread) -> list[str]:
        return [key for key, _ in message.states]

    def compare(self, node: CrdtNode, before: list[str]) -> None:
        for key in before:
            context = getattr(node.state_of(key), "context", EMPTY)
            if context.cloud:
                self.violated(
                    (node.name,), f"it has seen {context.cloud} of {key}", f"only {context.vector} before"
                )


@dataclass
class OneUpdatePerDot(Invariant):
    """A dot (or a last-writer-wins timestamp) identifies one update: its value is the same everywhere."""

    title: ClassVar[str] = "one update per dot"
    hears = (Spread,)
    values: dict[tuple[str, Any], Any] = field(default_factory=dict)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        for key, state in message.states:
            for name, value in _named(state):
                known = self.values.setdefault((key, name), value)
                if known != value:
                    self.violated(
                        (src,), f"{name} of {key} stood for {known!r}", f"{src} has {value!r} for it"
                    )


@dataclass
class UpdatesAsSaid(_AcrossSteps):
    """An update does to the value of its replica what the type says: a remove takes one element, and no other.

    The sequential specification of each type (Shapiro, Preguica, Baquero, Zawirski, "A comprehensive study of
    Convergent and Commutative Replicated Data Types", INRIA 2011, section 3): at one replica, without news of others.
    """

    title: ClassVar[str] = "an update does what its type says"
    hears = (Request,)

    def look(self, node: CrdtNode, message: Request) -> tuple[Command, Any] | None:
        command = message.command
        return None if command.kind == "get" else (command, node.state_of(node.object_of(command)))

    def compare(self, node: CrdtNode, before: tuple[Command, Any]) -> None:
        command, state = before
        after = node.state_of(node.object_of(command))
        # An unchanged state: the update was a repetition, or there was nothing to remove.
        if after != state and not _same(after.value, wanted := _updated(state.value, command)):
            self.violated(
                (node.name,), f"{command} on {state.value!r} makes {wanted!r}", f"it has {after.value!r}"
            )


def _updated(value: Any, command: Command) -> Any:
    """What the value becomes by an update."""
    if command.kind == "increment":
        return value + command.value
    if command.kind == "add":
        return (*value, command.value)
    if command.kind == "remove":
        return tuple(element for element in value if element != command.value)
    if command.kind == "delete":
        return {key: held for key, held in value.items() if key != command.key}
    if isinstance(value, dict):
        return {**value, command.key: (command.value,)}
    return (command.value,) if isinstance(value, tuple) else command.value


def _same(value: Any, other: Any) -> bool:
    """Whether two values are equal; of the elements of a set neither order nor number matters."""
    both = isinstance(value, tuple) and isinstance(other, tuple)
    return dict.fromkeys(value) == dict.fromkeys(other) if both else bool(value == other)


@dataclass
class JoinsKeep(_AcrossSteps):
    """A join keeps what either side has and the other has not seen: who adds while another removes, wins.

    Almeida, Shoker, Baquero 2018, section 7: a dot goes only if a side has seen it, and does not hold it any more.
    """

    title: ClassVar[str] = "a join drops only what one side has removed"
    hears = (Spread,)

    def look(self, node: CrdtNode, message: Spread) -> list[tuple[str, Any, Any]]:
        return [(key, node.state_of(key), state) for key, state in message.states]

    def compare(self, node: CrdtNode, before: list[tuple[str, Any, Any]]) -> None:
        for key, mine, arrived in before:
            after = dict(_named(node.state_of(key)))
            for one, other in ((mine, arrived), (arrived, mine)):
                held = dict(_named(other))
                for name, value in _named(one):
                    if name not in after and (name in held or not _has_seen(other, name)):
                        self.violated(
                            (node.name,),
                            f"{value!r} of {key}, written as {name}, was removed by neither side of a join",
                            f"it has {node.state_of(key).value!r}",
                        )


def _has_seen(state: Any, name: Any) -> bool:
    """Whether a state has seen a dot, or a timestamp that is not above its own."""
    if isinstance(state, LwwRegister):
        return bool(name <= state.stamp)
    return bool(state.context.has(name))


def _named(state: Any) -> list[tuple[Any, Any]]:
    """The named contents of a state: (dot, value or element), or (timestamp, value)."""
    if isinstance(state, LwwRegister):
        return [(state.stamp, state.value)]
    if isinstance(state, MvRegister):
        return list(state.store)
    if isinstance(state, OrSet):
        return [(dot, element) for element, dots in state.store for dot in dots]
    if isinstance(state, OrMap):
        return [(dot, (key, value)) for key, store in state.store for dot, value in store]
    return []
