"""Charts: functions from frames to matplotlib Axes. Loading this loads matplotlib; `sim.analysis` does not.

Each takes `ax=` (None: a new figure) and returns the Axes it drew on; nothing global is changed. Colours are those
of Okabe and Ito, told apart by colour-blind readers; a run keeps its colour in every chart of one comparison,
given by its place in the frame, and dashes so that lines which coincide are both seen. What has nothing to show (a
run without operations) is Axes that say so. Times are shown in the unit that reads best.
"""

from __future__ import annotations

from sim.analysis.plots.bars import measure_bars, unavailability
from sim.analysis.plots.grouped import grouped_bars
from sim.analysis.plots.latency import latency_cdf, latency_percentiles
from sim.analysis.plots.queues import queue_heatmap
from sim.analysis.plots.spacetime import space_time
from sim.analysis.plots.style import about, save, tell
from sim.analysis.plots.sweeps import sweep_lines, throughput_latency
from sim.analysis.plots.timelines import timeline

__all__ = [
    "about",
    "grouped_bars",
    "latency_cdf",
    "latency_percentiles",
    "measure_bars",
    "queue_heatmap",
    "save",
    "space_time",
    "sweep_lines",
    "tell",
    "throughput_latency",
    "timeline",
    "unavailability",
]
