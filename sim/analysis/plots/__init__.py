"""Charts: functions from frames to matplotlib Axes. This package imports matplotlib; `sim.analysis` does not.

Each function takes `ax=` (None: a new figure) and returns the Axes it drew on; matplotlib's settings stay as they are.
The colours are those of Okabe and Ito, which colour-blind readers can distinguish. A protocol has a colour and a marker
of its own; the place of a run in the frame determines its dashes, which make lines visible that coincide. If there is
nothing to show (a run without operations), the Axes say so. Times are shown in a suitable unit. `sim.plot.style` draws
all of them for a slide or a paper.
"""

from __future__ import annotations

from sim.analysis.plots.anatomies import anatomy_bars
from sim.analysis.plots.bars import measure_bars, unavailability
from sim.analysis.plots.frontiers import frontier_chart
from sim.analysis.plots.grids import sweep_map
from sim.analysis.plots.grouped import grouped_bars, region_bars
from sim.analysis.plots.lag import replication_lag
from sim.analysis.plots.latency import latency_cdf, latency_percentiles
from sim.analysis.plots.leaders import leader_lanes
from sim.analysis.plots.queues import queue_heatmap
from sim.analysis.plots.spacetime import space_time
from sim.analysis.plots.stale import staleness_cdf
from sim.analysis.plots.style import about, finding, save, tell
from sim.analysis.plots.sweeps import sweep_lines, throughput_latency
from sim.analysis.plots.timelines import timeline
from sim.analysis.plots.traffic import availability_windows, message_bars

__all__ = [
    "about",
    "anatomy_bars",
    "availability_windows",
    "finding",
    "frontier_chart",
    "grouped_bars",
    "latency_cdf",
    "latency_percentiles",
    "leader_lanes",
    "measure_bars",
    "message_bars",
    "queue_heatmap",
    "region_bars",
    "replication_lag",
    "save",
    "space_time",
    "staleness_cdf",
    "sweep_lines",
    "sweep_map",
    "tell",
    "throughput_latency",
    "timeline",
    "unavailability",
]
