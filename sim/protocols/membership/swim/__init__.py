"""SWIM (Das, Gupta, Motivala, DSN 2002): node, invariants, products."""

from sim.protocols.membership.swim.node import Swim

__all__ = [
    "Swim",
]
