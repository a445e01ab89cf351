"""Invariants that cost the author of a protocol one declared line, or none.

- `durable`: what is on the disk of a node before a message leaves it (`promises`).
"""

from sim.invariants.durable import DurableBeforeSend, Shown, Stored, promises

__all__ = ["DurableBeforeSend", "Shown", "Stored", "promises"]
