"""The knee is where Kleinrock's power is greatest, and is named only where the points show it; staleness as a chart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sim import Scenario, compare
from sim.analysis.checks import staleness
from sim.analysis.knee import knee
from sim.analysis.plots import staleness_cdf, throughput_latency
from sim.network import wan
from sim.protocols import PrimaryBackup, Raft
from sim.workload import OpenLoop, UniformKeys

LOADS = np.arange(0.1, 1.0, 0.1)


def test_the_knee_of_an_mm1_queue_is_at_half_of_its_capacity() -> None:
    assert LOADS[knee(LOADS, 1 / (1 - LOADS))] == pytest.approx(0.5)


def test_the_knee_of_an_md1_queue_is_where_its_power_is_greatest() -> None:
    """M/D/1: the mean time in the system is 1 + ρ / (2 (1 - ρ)); its power is greatest at 2 - √2."""
    fine = np.arange(0.01, 1.0, 0.01)
    assert fine[knee(fine, 1 + fine / (2 * (1 - fine)))] == pytest.approx(2 - np.sqrt(2), abs=0.006)


@pytest.mark.parametrize(
    ("throughput", "latency"),
    [
        ([1, 2, 3], [1, 1, 1]),  # power still grows at the last point
        ([1, 2, 3], [1, 5, 50]),  # it fell from the first point on
        ([1, 2], [1, 1]),
        ([1, 2, 3], [1, np.nan, 1]),
        ([], []),
    ],
)
def test_points_that_do_not_show_a_knee_have_none(throughput: list[float], latency: list[float]) -> None:
    assert knee(throughput, latency) is None


def test_a_knee_of_unequal_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"as many throughputs as latencies.*\(2,\) and \(1,\)"):
        knee([1, 2], [1])


def curve(run: str, latency: np.ndarray, at_least: float = 0.0) -> pd.DataFrame:
    rows = {"run": run, "seed": 1, "rate": LOADS * 1000, "throughput": LOADS * 1000, "p99": latency}
    return pd.DataFrame(rows | {"p99_at_least": at_least})


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_the_chart_names_the_knee_of_each_curve_that_shows_one() -> None:
    both = pd.concat([curve("queue", 0.001 / (1 - LOADS)), curve("flat", np.full(len(LOADS), 0.001))])
    ax = throughput_latency(both, "rate", ax=Figure().subplots())
    assert labels(ax) == ["queue (knee: 500 op/s)", "flat"]
    (ring,) = [line for line in ax.lines if line.get_markersize() == 13]
    assert ring.get_xydata() == pytest.approx(np.array([[500.0, 2.0]]))  # ms
    alone = throughput_latency(curve("", 0.001 / (1 - LOADS)), "rate", ax=Figure().subplots())
    assert labels(alone) == ["knee: 500 op/s"]
    bounds = curve("a", 0.001 / (1 - LOADS), at_least=1.0)
    assert labels(throughput_latency(bounds, "rate", ax=Figure().subplots())) == ["a"]


def test_the_chart_of_staleness_has_the_shares_of_the_frame() -> None:
    reads = pd.DataFrame(
        {
            "run": ["a"] * 4 + ["b"] * 2,
            "called": [1.0, 2.0, 3.0, 4.0, 1.0, 9.0],
            "t": [0.0, 0.010, 0.030, np.nan, 0.0, 0.5],
        }
    )
    ax = staleness_cdf(reads, duration=8.0, warmup=0.5, ax=Figure().subplots())
    a, b = ax.lines
    assert a.get_xydata()[:3] == pytest.approx(np.array([[0, 1 / 3], [10, 2 / 3], [30, 1]]))
    assert b.get_ydata() == pytest.approx([1.0, 1.0])  # the stale read was called after the end
    assert [line.get_label() for line in ax.lines] == ["a (66.7 % stale)", "b (all fresh)"]
    assert ax.get_xlabel() == "staleness of a read (ms)"
    assert ax.get_xlim()[0] == 0.0
    assert ax.get_ylim()[1] > 1.0


def test_reads_at_a_backup_are_stale_on_the_chart_and_reads_of_raft_are_not() -> None:
    lazy = PrimaryBackup(nodes=3, mode="async", reads="backup")
    scenario = Scenario(
        system=lazy,
        network=wan("virginia", "oregon", "tokyo"),  # news reaches far backups late
        workload=OpenLoop(rate=100.0, clients=4, keys=UniformKeys(2), reads=0.5),
        duration=3.0,
        warmup=1.0,
    )
    pair = compare([lazy, Raft(nodes=3)], scenario, seeds=1, workers=1, progress=None)
    ax = pair.plot.staleness(ax=Figure().subplots())
    stale, fresh = ax.lines
    assert str(fresh.get_label()).endswith("(all fresh)")
    found = staleness(pair.runs[0].operations)
    counted = found[(found["called"] >= 1.0) & found["t"].notna()]["t"]
    assert stale.get_ydata()[0] == pytest.approx((counted == 0).mean())
    assert 0.0 < stale.get_ydata()[0] < 1.0
    alone = pair.runs[0].plot.staleness(ax=Figure().subplots())
    assert alone.lines[0].get_xydata() == pytest.approx(stale.get_xydata())
