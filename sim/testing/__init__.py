"""Tools for tests of protocols, also of your own: `Bench` hosts one node, `Stage` several, `survive` runs a storm."""

from sim.testing.bench import Bench
from sim.testing.stage import Stage
from sim.testing.storms import survive

__all__ = ["Bench", "Stage", "survive"]
