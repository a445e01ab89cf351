"""The lab: scenarios, runs, comparisons, sweeps. What a user calls."""

from sim.lab.calibrate import Calibration, calibrate
from sim.lab.compare import Comparison, compare, compare_scenarios
from sim.lab.decide import frontier
from sim.lab.liveness import Liveness, measure_liveness
from sim.lab.nemesis import undrawn
from sim.lab.run import Check, Run
from sim.lab.saved import load
from sim.lab.scenario import Scenario
from sim.lab.simulation import Simulation
from sim.lab.storm import draw_storm, run_storm
from sim.lab.storms import Storms, run_storms
from sim.lab.sweep import Sweep, sweep

__all__ = [
    "Calibration",
    "Check",
    "Comparison",
    "Liveness",
    "Run",
    "Scenario",
    "Simulation",
    "Storms",
    "Sweep",
    "calibrate",
    "compare",
    "compare_scenarios",
    "draw_storm",
    "frontier",
    "load",
    "measure_liveness",
    "run_storm",
    "run_storms",
    "sweep",
    "undrawn",
]
