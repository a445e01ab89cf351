"""Tools for tests of protocols, yours too: `Bench` hosts one node and hands it messages by hand."""

from sim.testing.bench import Bench

__all__ = ["Bench"]
