"""Simulated time, timers and named random streams: the lowest layer of the simulator."""

from sim.kernel.endings import StandstillError
from sim.kernel.environment import Environment, delay_until
from sim.kernel.streams import BranchingStream, Stream, Streams
from sim.kernel.timer import Timer

__all__ = ["BranchingStream", "Environment", "StandstillError", "Stream", "Streams", "Timer", "delay_until"]
