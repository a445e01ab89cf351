"""Applications: a key-value store, which is the default, a bank, a counter, a lock service, a queue."""

from __future__ import annotations

from sim.protocols.applications.bank import Bank
from sim.protocols.applications.counter import Counter
from sim.protocols.applications.locks import LockService
from sim.protocols.applications.queue import Queue
from sim.protocols.kv import KeyValueStore

__all__ = ["Bank", "Counter", "KeyValueStore", "LockService", "Queue"]
