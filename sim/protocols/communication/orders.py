"""Orders of delivery: any, FIFO, causal. They determine when a received message may be delivered.

- `FIFO`: after all earlier messages of its origin (Cachin et al. 2011, algorithm 3.12, by sequence numbers).
- `CAUSAL`: after all messages that its origin had broadcast or delivered before it (algorithm 3.15, waiting causal
  broadcast; Birman, Schiper, Stephenson, "Lightweight Causal and Atomic Group Multicast", 1991, by vector clocks).
  Implies FIFO.

A packet carries what it needs as ``past``: nothing, or a vector of counts.
"""

from __future__ import annotations

from typing import Any

from sim.protocols.causality.dots import Context, Dot

__all__ = ["ANY", "CAUSAL", "FIFO", "Order"]


class Order:
    """Any order: a message may be delivered as soon as it has arrived."""

    def past(self, origin: str, number: int, delivered: Context) -> tuple[Dot, ...]:
        """The ``past`` of a packet when ``origin`` broadcasts its ``number``-th message."""
        return ()

    def in_turn(self, packet: Any, delivered: Context) -> bool:
        """Whether a packet may be delivered after the messages in ``delivered``."""
        return True

    def __repr__(self) -> str:
        return type(self).__name__


class _Fifo(Order):
    def in_turn(self, packet: Any, delivered: Context) -> bool:
        return bool(delivered.upto(packet.origin) == packet.number - 1)


class _Causal(Order):
    def past(self, origin: str, number: int, delivered: Context) -> tuple[Dot, ...]:
        others = [(name, n) for name, n in delivered.vector if name != origin]
        return (*others, (origin, number - 1))

    def in_turn(self, packet: Any, delivered: Context) -> bool:
        return all(delivered.upto(name) >= n for name, n in packet.past)


ANY = Order()
FIFO = _Fifo()
CAUSAL = _Causal()
