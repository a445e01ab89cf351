"""Multi-primary replication: node, versions, invariants."""

from sim.protocols.replication.multi_primary.node import MultiPrimary

__all__ = [
    "MultiPrimary",
]
