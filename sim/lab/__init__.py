"""The lab: scenarios, runs, comparisons, sweeps. What a user calls."""

from sim.lab.calibrate import Calibration, calibrate
from sim.lab.campaign import Campaign, campaign
from sim.lab.chaos import chaos, chaos_scenario
from sim.lab.compare import Comparison, compare, compare_scenarios
from sim.lab.decide import frontier
from sim.lab.liveness import Liveness, measure_liveness
from sim.lab.nemesis import undrawn
from sim.lab.run import Check, Run
from sim.lab.saved import load
from sim.lab.scenario import Scenario
from sim.lab.simulation import Simulation
from sim.lab.sweep import Sweep, sweep

__all__ = [
    "Calibration",
    "Campaign",
    "Check",
    "Comparison",
    "Liveness",
    "Run",
    "Scenario",
    "Simulation",
    "Sweep",
    "calibrate",
    "campaign",
    "chaos",
    "chaos_scenario",
    "compare",
    "compare_scenarios",
    "frontier",
    "load",
    "measure_liveness",
    "sweep",
    "undrawn",
]
