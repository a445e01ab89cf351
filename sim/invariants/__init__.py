"""Invariants that cost the author of a protocol one declared line, or none.

- `agreement`: replicas apply the same commands in the same order; free for every system with an application.
- `durable`: what is on the disk of a node before a message leaves it (`promises`).
- `declared`: what one member holds (`exclusive`), never goes back (`monotone`), is made once (`once`), is
  bounded (`at_most`).
- `sayings`: what a member said it holds (`stands_by`), what it has heard (`remembered`),
  what others must have told it (`backed`).
- `timing`: how long a member waits between two messages (`pause_between`).
"""

from sim.invariants.agreement import Agreement
from sim.invariants.declared import (
    AtMost,
    Exclusive,
    Monotone,
    Once,
    OnceRecorded,
    OnceSent,
    at_most,
    exclusive,
    monotone,
    once,
)
from sim.invariants.durable import DurableBeforeSend, Shown, Stored, promises
from sim.invariants.sayings import Backed, Remembered, StandsBy, backed, remembered, stands_by
from sim.invariants.timing import PauseBetween, pause_between

__all__ = [
    "Agreement",
    "AtMost",
    "Backed",
    "DurableBeforeSend",
    "Exclusive",
    "Monotone",
    "Once",
    "OnceRecorded",
    "OnceSent",
    "PauseBetween",
    "Remembered",
    "Shown",
    "StandsBy",
    "Stored",
    "at_most",
    "backed",
    "exclusive",
    "monotone",
    "once",
    "pause_between",
    "promises",
    "remembered",
    "stands_by",
]
