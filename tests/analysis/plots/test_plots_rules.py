"""Rules for all charts: labels with units, limits that hold the data, a sentence where there is nothing, metadata."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sim import __version__, plot
from sim.analysis import plots
from sim.analysis.anatomy import PARTS
from sim.analysis.checks import check, history_chart, synthetic
from sim.analysis.leadership import Reign
from sim.analysis.measures import timeline as timeline_frame
from sim.analysis.plots import (
    anatomies,
    balancing,
    bars,
    frontiers,
    grids,
    grouped,
    lag,
    latency,
    leaders,
    membership,
    queues,
    spacetime,
    stale,
    sweeps,
    timelines,
    traffic,
)
from sim.analysis.plots.style import DASHES, about, dashes, field_label, log_ticks, save, tell
from sim.lab.plots import ComparisonPlots, RunPlots, SweepPlots

Frames = dict[str, Any]
SPAN = {"duration": 30.0, "warmup": 2.0}


@pytest.fixture
def frames(
    operations: pd.DataFrame,
    events: pd.DataFrame,
    summaries: pd.DataFrame,
    sweep: pd.DataFrame,
    samples: pd.DataFrame,
    election: tuple[pd.DataFrame, pd.DataFrame],
) -> Frames:
    points = pd.DataFrame(
        {"run": ["a", "a", "b", "b"], "offered": [1.0, 2.0] * 2, "goodput": [1.0, 1.5, 1.0, 2.0]}
    )
    return {
        "operations": operations,
        "events": events,
        "summaries": summaries,
        "sweep": sweep,
        "samples": samples,
        "messages": election[0],
        "steps": election[1],
        "table": pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 3.0]}, index=["x", "y"]),
        "reigns": [
            Reign("a", "n1", 0.0, 9.0, True),
            Reign("a", "n2", 12.0, 30.0, False),
            Reign("b", "n2", 1.0, 30.0, False),
        ],
        "kinds": pd.DataFrame({"run": ["a", "a", "b"], "kind": ["x", "y", "x"], "messages": [2.0, 1.0, 3.0]}),
        "anatomy": pd.DataFrame(
            {
                "run": ["a", "b"] * 2,
                "region": ["x", "x", "y", "y"],
                "latency": 0.5,
                "last": ["n1", "", "n2", "n1"],
                "last_share": [0.6, np.nan, 1.0, 0.5],
                **dict.fromkeys(PARTS, 0.5 / len(PARTS)),
            }
        ),
        "regions": pd.DataFrame(
            {
                "run": ["a", "a", "b", "b"] * 2,
                "seed": [1, 2] * 4,
                "region": ["x"] * 4 + ["y"] * 4,
                "p50": [0.1, 0.2, 0.3, 0.4] * 2,
                "p50_at_least": [0.0] * 7 + [1.0],
            }
        ),
        "points": points,
        "goodput": points.assign(time=points["offered"]),
        "loads": {"random": [1.0, 2.0], "round robin": [2.0, 2.0]},
        "spreads": pd.DataFrame({"run": "a", "cycle": [0, 1, 2], "share": [0.1, 0.6, 1.0]}),
        "residues": pd.DataFrame({"run": "a", "traffic": [1.0, 2.0], "residue": [0.3, 0.1], "k": [1, 2]}),
        "detectors": pd.DataFrame(
            {"run": "a", "setting": ["x", "y"], "detection": [1.0, 2.0], "false_per_hour": [9.0, 1.0]}
        ),
        "frontier": pd.DataFrame(
            {
                "setting": ["a", "b", "c"],
                "status": ["frontier", "frontier", "dominated"],
                **{f"p99{end}": [0.1, 0.2, 0.3] for end in ("", "_low", "_high")},
                **{f"unavailability{end}": [2.0, 1.0, 3.0] for end in ("", "_low", "_high")},
            }
        ),
        "history": synthetic(40, clients=3, keys=1, seed=1),
        "reads": pd.DataFrame(
            {"run": ["a", "a", "b"], "called": [3.0, 4.0, 5.0], "t": [0.0, 0.02, 0.0], "k": [0.0, 1.0, 0.0]}
        ),
    }


def nothing(frames: Frames) -> Frames:
    return {
        name: type(frame)() if isinstance(frame, dict | list) else frame.iloc[:0]
        for name, frame in frames.items()
    }


CHARTS: dict[str, Callable[[Frames], Any]] = {
    "latency_cdf": lambda f: latency.latency_cdf(f["operations"], **SPAN),
    "latency_percentiles": lambda f: latency.latency_percentiles(f["summaries"]),
    "timeline": lambda f: timelines.timeline(f["operations"], f["events"], **SPAN),
    "measure_bars": lambda f: bars.measure_bars(f["summaries"], "throughput"),
    "unavailability": lambda f: bars.unavailability(f["summaries"], of="writes"),
    "sweep_lines": lambda f: sweeps.sweep_lines(f["sweep"], "rate", "p99"),
    "throughput_latency": lambda f: sweeps.throughput_latency(f["sweep"], "rate"),
    "queue_heatmap": lambda f: queues.queue_heatmap(f["samples"], **SPAN),
    "space_time": lambda f: spacetime.space_time(f["messages"], f["steps"]),
    "grouped_bars": lambda f: grouped.grouped_bars(f["table"], "latency (ms)"),
    "anatomy_bars": lambda f: anatomies.anatomy_bars(f["anatomy"]),
    "leader_lanes": lambda f: leaders.leader_lanes(f["reigns"], f["events"], **SPAN),
    "sweep_map": lambda f: grids.sweep_map(f["sweep"], "rate", "run", "p99"),
    "availability_windows": lambda f: traffic.availability_windows(f["operations"], **SPAN),
    "message_bars": lambda f: traffic.message_bars(f["kinds"]),
    "replication_lag": lambda f: lag.replication_lag(
        f["samples"], f["events"].iloc[:0], gauge="queue", **SPAN
    ),
    "region_bars": lambda f: grouped.region_bars(f["regions"], "p50"),
    "frontier_chart": lambda f: frontiers.frontier_chart(f["frontier"], ["p99", "unavailability"]),
    "staleness_cdf": lambda f: stale.staleness_cdf(f["reads"], **SPAN),
    "goodput_over_time": lambda f: balancing.goodput_over_time(f["goodput"]),
    "goodput_by_load": lambda f: balancing.goodput_by_load(f["points"]),
    "server_shares": lambda f: balancing.server_shares(f["loads"]),
    "keys_moved_bars": lambda f: balancing.keys_moved_bars(dict.fromkeys(f["loads"], 0.5), share=0.1),
    "share_informed": lambda f: membership.share_informed(f["spreads"]),
    "residue_by_traffic": lambda f: membership.residue_by_traffic(f["residues"]),
    "detection_tradeoff": lambda f: membership.detection_tradeoff(f["detectors"]),
    "history_chart": lambda f: history_chart(
        f["history"], check(f["history"]) if len(f["history"]) else None
    ),
}
NAMED = {
    "grouped_bars",
    "region_bars",
    "leader_lanes",
    "availability_windows",
    "message_bars",
    "anatomy_bars",
    "queue_heatmap",
    "server_shares",
    "keys_moved_bars",
    "measure_bars",
    "unavailability",
}
NAMED |= {"latency_percentiles", "space_time", "history_chart"}
"""Charts of which the rows (or columns) have names instead of a label with a unit."""


def axes_of(drawn: Any) -> list[Axes]:
    return [drawn] if isinstance(drawn, Axes) else list(np.asarray(drawn, dtype=object).ravel())


def test_no_chart_is_without_these_rules() -> None:
    found = set()
    for module in pkgutil.iter_modules(plots.__path__, plots.__name__ + "."):
        loaded = importlib.import_module(module.name)
        for name in loaded.__all__:
            function = getattr(loaded, name)
            if inspect.isfunction(function) and module.name != "sim.analysis.plots.style":
                returns = str(inspect.signature(function).return_annotation)
                found |= {name} if returns == "Axes" or returns.startswith("np.ndarray[Any") else set()
    assert found | {"history_chart"} == set(CHARTS)


def test_every_chart_is_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "charts.md").read_text(encoding="utf-8")
    methods = [name for of in (RunPlots, ComparisonPlots, SweepPlots) for name in vars(of) if name[0] != "_"]
    for name in (*CHARTS, *methods, *plots.__all__, *(f"sim.plot.{name}" for name in plot.__all__)):
        assert re.search(rf"\b{re.escape(name)}\b", page), name


@pytest.mark.parametrize("name", CHARTS)
def test_axes_have_labels_units_and_limits(name: str, frames: Frames) -> None:
    drawn = axes_of(CHARTS[name](frames))
    for ax in drawn:
        low, high = sorted(ax.get_xlim())
        assert np.isfinite([low, high]).all()
        assert low < high
        assert ax.get_ylim()[0] != ax.get_ylim()[1]
    label = drawn[-1].get_xlabel()
    names = [text.get_text() for text in (*drawn[-1].get_yticklabels(), *drawn[-1].get_xticklabels())]
    assert label or (name in {"grouped_bars", "region_bars"} and {"x", "y"} <= set(names))
    assert all(ax.get_ylabel() for ax in drawn) or (name in NAMED and any(names))
    said = [label, *(ax.get_ylabel() for ax in drawn)]
    for text in said:
        assert "_" not in text
        if any(word in text for word in ("latency", "time (", "throughput", "goodput", "unavailability")):
            assert text.endswith(")"), text  # the unit


@pytest.mark.parametrize("name", CHARTS)
def test_what_has_nothing_to_show_says_so(name: str, frames: Frames) -> None:
    for ax in axes_of(CHARTS[name](nothing(frames))):
        assert [text.get_text() for text in ax.texts if text.get_text().startswith(("no ", "nobody "))]
        assert not ax.lines
        assert not ax.patches
        given = Figure().subplots()
        assert given is not ax


def test_a_run_without_an_answer_is_named_beside_the_others(operations: pd.DataFrame) -> None:
    none = operations[operations["run"] == "MultiPaxos"].assign(status="info", latency=np.nan)
    none["returned"] = np.nan
    shown = pd.concat([operations[operations["run"] == "Raft"], none])
    ax = latency.latency_cdf(shown, duration=30.0)
    legend = ax.get_legend()
    assert legend is not None
    assert "MultiPaxos (none answered)" in [text.get_text() for text in legend.get_texts()]
    alone = latency.latency_cdf(none, duration=30.0)
    assert alone.get_legend() is not None


def test_ticks_tell_neighbours_apart() -> None:
    for low, high in ((3.8, 6.2), (0.02, 0.09), (40, 61), (900, 12_000), (1e-4, 1e3)):
        ax = Figure().subplots()
        ax.plot([1, 2], [low, high])
        ax.set_yscale("log")
        ax.set_ylim(low, high)
        log_ticks(ax.yaxis)
        ax.figure.canvas.draw()
        shown = [tick.get_text() for tick in ax.get_yticklabels() if tick.get_text()]
        values = [float(text.replace(",", "")) for text in shown]
        assert len(set(shown)) == len(shown), shown
        assert values == pytest.approx([v for v in ax.get_yticks() if v > 0][: len(values)])


def test_lines_that_coincide_are_both_seen(operations: pd.DataFrame, events: pd.DataFrame) -> None:
    twin = operations[operations["run"] == "Raft"]
    both = pd.concat([twin, twin.assign(run="twin")])
    styles = [str(line.get_linestyle()) for line in latency.latency_cdf(both, duration=30.0).lines]
    assert styles[0] != styles[-1]
    upper, lower = timelines.timeline(both, events, duration=30.0)
    for ax in (upper, lower):
        steps = [patch for patch in ax.patches if hasattr(patch, "get_data") and not patch.get_fill()]
        assert len({str(patch.get_linestyle()) for patch in steps}) == 2
    assert len({str(dash) for dash in DASHES}) == len(DASHES)
    assert list(dashes("abcdef").values()) == [*DASHES, DASHES[0]]


def test_counts_in_bins_are_drawn_over_the_whole_bin(frames: Frames) -> None:
    one = frames["operations"][frames["operations"]["run"] == "Raft"]
    _, lower = timelines.timeline(one, frames["events"], duration=30.0, width=1.0, quantiles=(0.99,))
    (steps,) = [patch for patch in lower.patches if hasattr(patch, "get_data")]
    expected = timeline_frame(one, 1.0, duration=30.0, quantiles=(0.99,))["p99"] * 1e3
    assert steps.get_data().values == pytest.approx(expected.to_numpy())
    assert steps.get_data().edges.tolist() == list(range(31))
    assert not [line for line in lower.lines if line.get_linestyle() not in ("none", "None")]
    ax = balancing.goodput_over_time(frames["goodput"])
    for patch in ax.patches:
        assert patch.get_data().edges.tolist() == [1.0, 2.0, 3.0]  # type: ignore[attr-defined]


def test_too_many_bins_are_refused_with_their_number(frames: Frames) -> None:
    with pytest.raises(ValueError, match="bins of 1e-06 s cut 30 s into 30,000,000; at most 100,000"):
        timelines.timeline(frames["operations"], frames["events"], duration=30.0, width=1e-6)


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("workload__rate", "offered load (op/s)"),
        ("system.nodes", "nodes"),
        ("loss", "loss"),
        ("think_time", "think time"),
        ("report age [s]", "report age [s]"),
    ],
)
def test_swept_fields_are_labelled_in_words(field: str, label: str) -> None:
    assert field_label(field) == label


def test_points_of_a_second_field_are_not_pooled(sweep: pd.DataFrame) -> None:
    both = pd.concat([sweep.assign(nodes=n) for n in (3, 5)])
    with pytest.raises(ValueError, match="seed 0 is there twice"):
        sweeps.sweep_lines(both, "rate", "p99")
    with pytest.raises(ValueError, match="seed 0 is there twice"):
        sweeps.throughput_latency(both, "rate")


def metadata(path: Path) -> str:
    if path.suffix == ".png":
        with Image.open(path) as image:
            return " ".join(f"{k}={v}" for k, v in image.text.items())  # type: ignore[attr-defined]
    return path.read_bytes().decode("utf-8", errors="replace")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_pictures_carry_title_seed_settings_and_version(suffix: str, frames: Frames, tmp_path: Path) -> None:
    ax = CHARTS["goodput_by_load"](frames)
    tell(ax, seed=7)
    with about(title="Load shedding", settings="servers=3"):
        told = metadata(save(ax, tmp_path / f"told{suffix}"))
    for text in ("Load shedding", "seed: 7", "servers=3", __version__):
        assert text in told
    bare = metadata(save(CHARTS["goodput_by_load"](frames), tmp_path / f"bare{suffix}"))
    assert "goodput" in bare
    assert "offered load" in bare  # the labels of the Axes are the title of a chart that has none
    assert "Load shedding" not in bare
