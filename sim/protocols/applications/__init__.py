"""Further applications: a bank, a counter, a lock service, a queue."""

from __future__ import annotations

from sim.protocols.applications.bank import Bank
from sim.protocols.applications.counter import Counter
from sim.protocols.applications.locks import LockService
from sim.protocols.applications.queue import Queue

__all__ = ["Bank", "Counter", "LockService", "Queue"]
