"""Tools for tests of protocols, also of your own.

`Bench` hosts one node, `Stage` several, `survive` runs a storm; `fault_schedules` and `operations` are Hypothesis
strategies for a `schedule` that a system must `withstand`. `sim.testing.plugin` is a pytest plugin with the fixture
``fuzz``.
"""

from sim.testing.bench import Bench
from sim.testing.schedules import fault_schedules, operations, schedule, withstand
from sim.testing.stage import Stage
from sim.testing.storms import survive

__all__ = [
    "Bench",
    "Stage",
    "fault_schedules",
    "operations",
    "schedule",
    "survive",
    "withstand",
]
