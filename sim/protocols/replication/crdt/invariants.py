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
from sim.protocols.replication.crdt.containers import OrMap, OrSet
from sim.protocols.replication.crdt.registers import LwwRegister, MvRegister
from sim.protocols.replication.crdt.system import Spread
from sim.system import Invariant

__all__ = ["NoGaps", "OneUpdatePerDot", "StatesGrow"]


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
class NoGaps(Invariant):
    """The causal delta-merging condition (definition 5): a replica that merges a delta has all earlier updates.

    Therefore every replica has seen each actor's updates without gaps, and contexts are version vectors.
    """

    title: ClassVar[str] = "no gaps before a delta"
    hears = (Spread,)
    touched: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        self.touched[dst] = tuple(key for key, _ in message.states)

    def on_step(self, node: Node) -> None:
        for key in self.touched.pop(node.name, ()):
            context = getattr(node.state_of(key), "context", EMPTY)  # type: ignore[attr-defined]
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
