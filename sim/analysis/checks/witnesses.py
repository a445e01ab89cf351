"""The counterexample of a necessary condition that a history violates."""

from __future__ import annotations

from dataclasses import dataclass

from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["Broken"]


@dataclass(frozen=True, slots=True)
class Broken:
    """The operations that contradict each other, and why; ``reason`` begins without the key."""

    operations: tuple[HistoryOperation, ...]
    reason: str
