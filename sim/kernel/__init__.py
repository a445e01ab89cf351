"""Simulated time, timers and named random streams: the lowest layer of the simulator."""

from typing import TYPE_CHECKING

from sim.engine import COMPILED
from sim.kernel.endings import StandstillError
from sim.kernel.environment import Environment, delay_until
from sim.kernel.streams import BranchingStream, Stream, Streams

if TYPE_CHECKING or not COMPILED:
    from sim.kernel.timer import Timer
else:
    from sim.kernel._timer import Timer

__all__ = ["BranchingStream", "Environment", "StandstillError", "Stream", "Streams", "Timer", "delay_until"]
