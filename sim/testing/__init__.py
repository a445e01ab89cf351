"""Tools for tests of protocols, yours too: `Bench` hosts one node, `Stage` several by hand, `survive` runs a storm."""

from sim.testing.bench import Bench
from sim.testing.stage import Stage
from sim.testing.storms import survive

__all__ = ["Bench", "Stage", "survive"]
