"""Invariants that cost the author of a protocol one declared line, or none.

- `agreement`: replicas apply the same commands in the same order; free for every system with an application.
- `durable`: what is on the disk of a node before a message leaves it (`promises`).
- `declared`: what one member holds (`exclusive`), never goes back (`monotone`), is made once (`once`).
- `timing`: how long a member waits between two messages (`pause_between`).
"""

from sim.invariants.agreement import Agreement
from sim.invariants.declared import (
    Exclusive,
    Monotone,
    Once,
    OnceRecorded,
    OnceSent,
    exclusive,
    monotone,
    once,
)
from sim.invariants.durable import DurableBeforeSend, Shown, Stored, promises
from sim.invariants.timing import PauseBetween, pause_between

__all__ = [
    "Agreement",
    "DurableBeforeSend",
    "Exclusive",
    "Monotone",
    "Once",
    "OnceRecorded",
    "OnceSent",
    "PauseBetween",
    "Shown",
    "Stored",
    "exclusive",
    "monotone",
    "once",
    "pause_between",
    "promises",
]
