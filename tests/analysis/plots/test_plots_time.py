"""Timelines, queues and space-time diagrams draw the numbers of their frames."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from sim.analysis.measures import timeline as timeline_frame
from sim.analysis.plots import queue_heatmap, space_time, timeline
from sim.analysis.plots.queues import sampled
from sim.analysis.plots.spacetime import role_spans
from sim.analysis.plots.style import SHADE
from sim.analysis.plots.timelines import nice_width
from sim.analysis.statistics import mean_interval


def shades(ax: object) -> list[tuple[float, float]]:
    from matplotlib.colors import to_hex

    patches = [
        p for p in ax.patches if isinstance(p, Rectangle) and to_hex(p.get_facecolor()) == SHADE.lower()
    ]  # type: ignore[attr-defined]
    return [(p.get_x(), p.get_x() + p.get_width()) for p in patches]


# ---- timeline


def test_the_panels_show_the_timeline_of_a_run(operations: pd.DataFrame, events: pd.DataFrame) -> None:
    one = operations[(operations["run"] == "Raft") & (operations["seed"] == 0)].drop(columns=["run", "seed"])
    faults = events[(events["run"] == "Raft") & (events["seed"] == 0)].drop(columns=["run", "seed"])
    upper, lower = timeline(one, faults, duration=30.0, width=0.5)
    frame = timeline_frame(one, 0.5, duration=30.0)
    (steps,) = [p for p in upper.patches if hasattr(p, "get_data")]
    assert steps.get_data().values.tolist() == frame["throughput"].tolist()
    assert steps.get_data().edges.tolist() == [*frame["start"], 30.0]
    median, slow = [p for p in lower.patches if hasattr(p, "get_data")]
    assert median.get_data().values == pytest.approx(frame["p50"].to_numpy() * 1e3, nan_ok=True)
    assert slow.get_data().values == pytest.approx(frame["p99"].to_numpy() * 1e3, nan_ok=True)
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("throughput (op/s)", "latency (ms)")
    assert lower.get_xlabel() == "time (s)"


def test_faults_are_shaded_in_both_panels_and_named(operations: pd.DataFrame, events: pd.DataFrame) -> None:
    panels = timeline(operations, events, duration=30.0)
    for ax in panels:
        assert shades(ax) == [(10.0, 15.0)]
    assert [text.get_text() for text in panels[0].texts] == ["crash n0"]


def test_runs_that_lose_different_nodes_share_one_shade_named_by_its_kind(operations: pd.DataFrame) -> None:
    rows = [("a", 10.0, "n0", "crash"), ("b", 10.0, "n3", "crash")]
    faults = pd.DataFrame(rows, columns=["run", "time", "node", "event"]).assign(detail=None)
    upper, _ = timeline(operations, faults, duration=30.0)
    assert shades(upper) == [(10.0, 30.0)]
    assert [text.get_text() for text in upper.texts] == ["crash"]


def test_names_of_faults_that_begin_close_together_do_not_overlap(operations: pd.DataFrame) -> None:
    rows = [
        (10.0, "node-zero", "crash"),
        (10.5, "node-one", "crash"),
        (19.0, "n2", "crash"),
        (29.5, "n3", "crash"),
    ]
    upper, _ = timeline(operations, pd.DataFrame(rows, columns=["time", "node", "event"]), duration=30.0)
    upper.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in upper.texts]
    assert [text.get_text() for text in upper.texts] == [f"crash {node}" for _, node, _ in rows]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    frame = upper.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    heights = [box.y1 for box in boxes]
    assert heights[1] < heights[0] == pytest.approx(heights[2]) == pytest.approx(heights[3])


def test_many_faults_are_shaded_as_one_cover_without_names(operations: pd.DataFrame) -> None:
    rows = [*((float(t), "n0", "crash") for t in range(1, 21, 2)), (25.0, "n0", "restart")]
    upper, _ = timeline(operations, pd.DataFrame(rows, columns=["time", "node", "event"]), duration=30.0)
    assert shades(upper) == [(1.0, 25.0)]
    assert not upper.texts


def test_throughput_of_seeds_is_their_mean_with_its_interval(
    operations: pd.DataFrame, events: pd.DataFrame
) -> None:
    upper, _ = timeline(operations, events, duration=30.0, width=1.0)
    seeds = [
        timeline_frame(part, 1.0, duration=30.0)["throughput"].to_numpy()
        for _, part in operations[operations["run"] == "Raft"].groupby("seed")
    ]
    steps, band = [p for p in upper.patches if hasattr(p, "get_data")][:2]
    assert steps.get_data().values == pytest.approx(np.mean(seeds, axis=0))
    first = mean_interval([values[0] for values in seeds])
    assert band.get_data().values[0] == pytest.approx(first.high)
    assert band.get_data().baseline[0] == pytest.approx(first.low)


def test_bins_whose_latency_is_a_lower_bound_carry_a_triangle(
    operations: pd.DataFrame, events: pd.DataFrame
) -> None:
    run = operations[operations["run"] == "PrimaryBackup(mode=async)"]
    _, lower = timeline(run, events, duration=30.0, width=1.0, quantiles=(0.99,))
    frame = timeline_frame(run, 1.0, duration=30.0, quantiles=(0.99,))
    (marks,) = [line for line in lower.lines if line.get_marker() == "^"]
    bounded = frame[frame["p99_at_least"] > 0]
    assert len(bounded) > 0
    assert np.asarray(marks.get_xdata()) == pytest.approx((bounded["start"] + 0.5).to_numpy())
    assert lower.get_ylabel() == "p99 latency (ms)"


def test_a_timeline_takes_two_axes_and_refuses_another_number(
    operations: pd.DataFrame, events: pd.DataFrame
) -> None:
    given = Figure().subplots(2, 1)
    assert list(timeline(operations, events, duration=30.0, ax=given)) == list(given)
    with pytest.raises(ValueError, match="needs 2 axes, got 1"):
        timeline(operations, events, duration=30.0, ax=Figure().subplots())


@pytest.mark.parametrize(
    ("span", "width"), [(30.0, 0.5), (60.0, 1.0), (10.0, 0.2), (0.06, 0.001), (3600.0, 50.0)]
)
def test_bins_have_round_widths(span: float, width: float) -> None:
    assert nice_width(span) == pytest.approx(width)


# ---- queues


def test_a_sampled_gauge_holds_until_the_next_sample() -> None:
    rows = [
        (0.5, "s0", "queue", 2.0),
        (1.5, "s0", "queue", 4.0),
        (1.75, "s0", "queue", 0.0),
        (0.0, "s1", "other", 9.0),
    ]
    frame = pd.DataFrame(rows, columns=["time", "node", "gauge", "value"])
    values = sampled(frame, "queue", ["s0", "s1"], np.array([0.0, 1.0, 2.0, 3.0]))
    assert math.isnan(values[0][0])  # not known before its first sample
    assert values[0][1:].tolist() == [0.5 * 2 + 0.25 * 4, 0.0]
    assert np.isnan(values[1]).all()


def test_the_heat_map_shows_the_means_by_server_and_time(samples: pd.DataFrame) -> None:
    ax = queue_heatmap(samples, duration=28.0, bins=56)
    (mesh,) = ax.collections
    names = [f"s{i}" for i in range(10)]
    expected = sampled(samples, "queue", names, np.linspace(0.0, 28.0, 57))
    drawn = np.ma.filled(np.ma.asarray(mesh.get_array()).reshape(10, 56).astype(float), np.nan)
    assert drawn == pytest.approx(expected, nan_ok=True)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == names
    assert np.nanmean(drawn, axis=1).argmax() == 3  # the slow server stands out
    with pytest.raises(ValueError, match="no sample of gauge 'lag'"):
        queue_heatmap(samples, duration=28.0, gauge="lag")


def test_of_a_hundred_servers_every_fourth_is_named() -> None:
    frame = pd.DataFrame({"time": 0.0, "node": [f"s{i}" for i in range(100)], "gauge": "queue", "value": 1.0})
    labels = [tick.get_text() for tick in queue_heatmap(frame, duration=1.0).get_yticklabels()]
    assert labels == [f"s{i}" for i in range(0, 100, 4)]


# ---- space-time


def arrows(ax: object) -> dict[str, Quiver]:
    return {q.get_label()[1:]: q for q in ax.collections if isinstance(q, Quiver)}  # type: ignore[attr-defined]


Election = tuple[pd.DataFrame, pd.DataFrame]


def test_each_delivered_message_is_an_arrow_from_sending_to_delivery(election: Election) -> None:
    messages, events = election
    ax = space_time(messages, events)
    drawn = arrows(ax)
    assert set(drawn) == {"AppendEntries", "AppendReply", "RequestVote", "Vote"}
    votes = drawn["Vote"]
    assert votes.X.tolist() == pytest.approx([240.0] * 3)
    assert votes.Y.tolist() == [1.0, 3.0, 4.0]
    assert votes.U.tolist() == pytest.approx([20.0] * 3)
    assert votes.V.tolist() == [1.0, -1.0, -2.0]  # all to n2
    assert sum(len(q.X) for q in drawn.values()) == int(messages["delivered"].notna().sum())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [f"n{i}" for i in range(5)]
    assert ax.get_xlabel() == "time (ms)"
    assert ax.yaxis_inverted()  # the first node is at the top


def test_a_lost_message_is_dashed_and_both_kinds_of_loss_end_in_a_cross(election: Election) -> None:
    ax = space_time(*election)
    (dashed,) = [
        c for c in ax.collections if isinstance(c, LineCollection) and c.get_linestyle()[0][1] is not None
    ]
    ((start, stop),) = dashed.get_segments()
    assert start.tolist() == pytest.approx([30.0, 4.0])
    assert stop.tolist() == pytest.approx([30.0 + 0.6 * 20.0, 4.0 - 0.6 * 4.0])
    (crosses,) = [line for line in ax.lines if line.get_marker() == "x"]
    found = sorted(zip(np.asarray(crosses.get_xdata()), np.asarray(crosses.get_ydata()), strict=True))
    assert found == [pytest.approx((42.0, 1.6)), pytest.approx((240.0, 0.0))]


def test_roles_last_until_the_next_role_or_a_crash(election: Election) -> None:
    spans = role_spans(election[1], start=0.0, end=0.4)
    of = {
        node: [tuple(row) for row in rows[["role", "start", "end"]].to_numpy()]
        for node, rows in spans.groupby("node")
    }
    assert of["n0"] == [("leader", 0.0, 0.07), ("follower", 0.3, 0.4)]
    assert of["n2"] == [("follower", 0.0, 0.22), ("candidate", 0.22, 0.26), ("leader", 0.26, 0.4)]
    inside = role_spans(election[1], start=0.23, end=0.25)
    assert inside[["start", "end"]].drop_duplicates().to_numpy().tolist() == [[0.23, 0.25]]
    assert sorted(inside["node"]) == ["n1", "n2", "n3", "n4"]  # n0 is down


def test_a_crash_is_a_hatched_bar_and_events_are_marked(election: Election) -> None:
    ax = space_time(*election)
    hatched = [c for c in ax.collections if c.get_hatch()]
    (bar,) = [c.get_paths()[0].get_extents() for c in hatched]
    assert (bar.x0, bar.x1) == pytest.approx((70.0, 300.0))
    assert (bar.y0 + bar.y1) / 2 == pytest.approx(0.0)
    marks = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert marks["elected"] == [[260.0, 2.0]]
    assert marks["committed"] == [[50.0, 0.0]]


def test_a_window_and_lanes_choose_what_is_drawn(election: Election) -> None:
    ax = space_time(*election, nodes=["n2", "n1"], window=(0.2, 0.25))
    assert ax.get_xlim() == pytest.approx((200.0, 250.0))
    drawn = arrows(ax)
    assert {kind: len(q.X) for kind, q in drawn.items()} == {"RequestVote": 1, "Vote": 1}
    assert drawn["RequestVote"].Y.tolist() == [0.0]
    with pytest.raises(ValueError, match="window"):
        space_time(*election, window=(1.0, 1.0))


def test_each_broadcast_is_labelled_once_and_a_crowd_not_at_all(election: Election) -> None:
    messages, events = election
    told = [text.get_text() for text in space_time(messages, events).texts]
    assert sorted(told) == ["AppendEntries", "AppendEntries", "AppendReply", "RequestVote", "Vote"]
    assert not space_time(pd.concat([messages] * 2), events).texts
    assert not space_time(messages, events, labels=False).texts


def test_lanes_stand_in_the_order_of_their_numbers() -> None:
    nodes = ["n10", "n2", "n1", "client"]
    messages = pd.DataFrame(
        {"kind": "Ping", "src": nodes, "dst": "n2", "sent": 1.0, "delivered": 2.0, "fate": "delivered"}
    )
    events = pd.DataFrame({"time": [], "node": [], "event": [], "detail": []})
    lanes = [tick.get_text() for tick in space_time(messages, events).get_yticklabels()]
    assert lanes == ["client", "n1", "n2", "n10"]
