"""Invariants that cost the author of a protocol one declared line, or none.

- `agreement`: replicas apply the same commands in the same order; free for every system with an application.
- `durable`: what is on the disk of a node before a message leaves it (`promises`).
"""

from sim.invariants.agreement import Agreement
from sim.invariants.durable import DurableBeforeSend, Shown, Stored, promises

__all__ = ["Agreement", "DurableBeforeSend", "Shown", "Stored", "promises"]
