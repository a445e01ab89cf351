"""Calibration of machines by a measured throughput-latency curve.

Files: curve (reading the measurements), model (what a scenario predicts), search (least squares and profiles),
calibration (`calibrate`) and result (`Calibration`).
"""

from sim.lab.calibrate.calibration import calibrate
from sim.lab.calibrate.result import Calibration, Fitted

__all__ = ["Calibration", "Fitted", "calibrate"]
