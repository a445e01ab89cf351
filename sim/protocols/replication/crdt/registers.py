"""Registers that converge: the last write wins, or all concurrent writes are kept (Shapiro et al., SSS 2011).

A state is an immutable value with ``merge`` (commutative, associative, idempotent) and ``value``. An update returns a
*delta*, a small state of the same type; merging it into the state is the update (Almeida, Shoker, Baquero 2018).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from sim.protocols.causality.hlc import BEGINNING, HybridTime
from sim.protocols.causality.siblings import DottedStore

__all__ = ["LwwRegister", "MvRegister"]


class LwwRegister(NamedTuple):
    """A last-writer-wins register: the write with the highest timestamp ``(time, actor)`` wins.

    An actor must not use a time twice, even if its wall clock jumps: see `sim.protocols.causality.hlc`.
    """

    stamp: tuple[HybridTime, str] = (BEGINNING, "")
    value: Any = None

    def write(self, time: HybridTime, actor: str, value: Any) -> Self:
        """The delta that writes a value at a time."""
        return type(self)((time, actor), value)

    def merge(self, other: Self) -> Self:
        """The later write."""
        return other if other.stamp > self.stamp else self


class MvRegister(DottedStore):
    """A register that keeps all values written concurrently, until a write that has seen them replaces them."""

    __slots__ = ()
