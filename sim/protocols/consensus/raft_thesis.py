"""The Raft of Ongaro's thesis ("Consensus: Bridging Theory and Practice", Stanford 2014)."""

from __future__ import annotations

from dataclasses import dataclass

from sim.protocols.consensus.raft import BasicRaft

__all__ = ["Raft"]


@dataclass(frozen=True, kw_only=True)
class Raft(BasicRaft):
    """Raft as users name it; with no option on it is the Raft of figure 2."""
