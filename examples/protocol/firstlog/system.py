"""The system: what a scenario names, what it claims, and what must hold of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim import Invariant, Node
from sim.protocols.system import LedSystem, StateMachineSystem
from sim.system import positions

from firstlog.invariants import ChosenIsHeld, OneOrder, answers_are_on_disk
from firstlog.node import FirstLogNode

__all__ = ["FirstLog"]


@dataclass(frozen=True, kw_only=True)
class FirstLog(LedSystem, StateMachineSystem):
    """A log with one primary (``leader``; default: the first replica).

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    """

    node_class = FirstLogNode

    @property
    def consistency(self) -> str:
        """What clients may rely on."""
        return "linearizable"

    def is_quorum(self, holders: set[str]) -> bool:
        """Whether a command is chosen that these replicas hold: they are a majority."""
        return 2 * len(holders) > self.nodes

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The primary, while it is up. Faults call it "leader"."""
        return self.first_leader if self.first_leader in nodes else None

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """How many commands each replica has applied: after a storm all must reach the furthest."""
        return positions(nodes, FirstLogNode, "applied")

    def invariants(self) -> Iterable[Invariant]:
        """What must hold after every event."""
        return [answers_are_on_disk(), OneOrder(), ChosenIsHeld(is_quorum=self.is_quorum)]
