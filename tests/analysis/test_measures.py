"""The measures of a run, on small runs whose numbers can be told by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis.measures import (
    imbalance,
    in_window,
    latencies,
    latency_cdf,
    latency_quantiles,
    per_operation,
    quantile_name,
    summary,
    timeline,
    unavailability,
)

NO_EVENTS = pd.DataFrame({"time": [], "node": [], "event": [], "detail": []})


def operations(*rows: tuple[float, float, str], **columns: Any) -> pd.DataFrame:
    """Operations from (call, return, status)."""
    frame = pd.DataFrame(rows, columns=["called", "returned", "status"]).astype(
        {"called": float, "returned": float}
    )
    return frame.assign(**columns)


def crash(time: float, node: str = "n0") -> dict[str, Any]:
    return {"time": time, "node": node, "event": "crash", "detail": {}}


# ---- latency


def test_latency_runs_from_the_scheduled_arrival() -> None:
    # Due at 1.0, sent by a free session only at 1.4 (its own clock of the try is not in the frame), answered at 1.5.
    found = latencies(operations((1.0, 1.5, "ok")), 10.0)
    assert found.times.tolist() == [0.5]


def test_an_unanswered_operation_took_as_long_as_its_client_is_known_to_have_waited() -> None:
    frame = operations((1.0, math.nan, "info"), (2.0, 5.0, "info"), (3.0, math.nan, "info"))
    frame["latency"] = [math.nan, math.nan, 0.25]
    found = latencies(frame, 10.0)
    assert (found.count, found.censored, found.longest) == (3, 3, 9.0)
    assert found.quantile(0.5).at_least
    # The one that gave up after 0.25 s does not hold up what was answered later.
    answered = pd.concat([frame.iloc[[2]], operations((0.0, 1.0, "ok"))])
    assert latencies(answered, 10.0).quantile(0.9).value == 1.0
    assert not latencies(answered, 10.0).quantile(0.9).at_least


def test_failed_operations_are_no_service_and_no_latency() -> None:
    frame = operations((0.0, 1.0, "ok"), (0.0, 0.001, "fail"), (0.0, 3.0, "ok"))
    found = latencies(frame, 10.0)
    assert found.count == 2
    assert found.quantile(0.5).value == 1.0


def test_an_ok_without_a_return_is_refused() -> None:
    with pytest.raises(ValueError, match=r"called at 2\.5"):
        latencies(operations((2.5, math.nan, "ok")), 10.0)


def test_the_cdf_stops_short_of_one_when_operations_stay_unanswered() -> None:
    frame = operations((0.0, 1.0, "ok"), (0.0, 2.0, "ok"), (0.0, 2.0, "ok"), (0.0, math.nan, "info"))
    cdf = latency_cdf(frame, duration=9.0)
    assert cdf["latency"].tolist() == [1.0, 2.0]
    assert cdf["fraction"].tolist() == [0.25, 0.75]


def test_quantiles_of_groups() -> None:
    frame = operations(
        (0.0, 1.0, "ok"), (0.0, 3.0, "ok"), (0.0, 2.0, "ok"), (5.0, math.nan, "info"), (9.5, 9.6, "ok")
    ).assign(run="r", region=["x", "x", "y", "y", "x"])
    found = latency_quantiles(frame, by=("run", "region"), quantiles=(0.5, 0.999), duration=9.0)
    assert found[["run", "region", "count"]].to_numpy().tolist() == [["r", "x", 2], ["r", "y", 2]]
    assert found["p50"].tolist() == [1.0, 2.0]
    assert found["p99.9"].tolist() == [3.0, 4.0]
    assert found["p99.9_at_least"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("q", "name"), [(0.5, "p50"), (0.95, "p95"), (0.999, "p99.9"), (0.29, "p29"), (1, "p100")]
)
def test_names_of_quantiles(q: float, name: str) -> None:
    assert quantile_name(q) == name


# ---- summary


def test_the_summary_of_a_run_by_hand() -> None:
    frame = operations(
        (0.5, 0.9, "ok"),  # before the warm-up
        (0.9, 1.2, "ok"),  # called before it, served after: counts for throughput only
        (1.0, 1.1, "ok"),
        (2.0, 2.3, "ok"),
        (3.0, 3.1, "fail"),
        (4.0, math.nan, "info"),
        (4.9, 5.2, "ok"),  # served after the end
        attempts=[1, 1, 1, 2, 1, 5, 1],
    )
    links = pd.DataFrame(
        {
            "src": ["n0", "n1", "c0", "n0", "v"],
            "dst": ["n1", "n0", "n0", "c0", "n0"],
            "src_role": ["replica", "replica", "client", "replica", "service"],
            "dst_role": ["replica", "replica", "replica", "client", "replica"],
            "messages": [30, 20, 7, 7, 100],
            "bytes": [3000, 500, 70, 70, 9],
        }
    )
    nodes = pd.DataFrame({"node": ["n0", "n1"], "utilisation": [0.25, 0.5], "queue_max": [7, 3]})
    found = summary(frame, NO_EVENTS, links, nodes, duration=5.0, warmup=1.0, lost=3)
    assert found["throughput"] == 3 / 4
    assert found["p50"] == pytest.approx(0.3)
    assert found["p99"] == pytest.approx(1.0)
    assert (found["p50_at_least"], found["p99_at_least"]) == (0.0, 1.0)
    assert found["mean"] == pytest.approx((0.1 + 0.3 + 0.3 + 1.0) / 4)
    assert found[["operations", "ok", "fail", "info"]].tolist() == [5, 3, 1, 1]
    assert found["messages_per_operation"] == 50 / 5
    assert found["bytes_per_operation"] == 3500 / 5
    assert found["attempts_per_operation"] == 2.0
    assert (found["utilisation_max"], found["queue_max"]) == (0.5, 7.0)
    assert found["acknowledged_lost"] == 3
    assert math.isnan(found["unavailability"])


def test_a_summary_without_optional_frames_leaves_their_measures_missing() -> None:
    found = summary(operations((0.0, 1.0, "ok")), NO_EVENTS, duration=2.0)
    for name in ("messages_per_operation", "attempts_per_operation", "utilisation_max", "acknowledged_lost"):
        assert math.isnan(found[name])


def test_a_run_without_operations_has_a_summary() -> None:
    empty = pd.DataFrame({c: pd.Series(dtype=object) for c in ("called", "returned", "status", "attempts")})
    found = summary(empty, pd.DataFrame([crash(1.0)]), duration=2.0)
    assert found["throughput"] == 0.0
    assert math.isnan(found["p99"])
    assert found["unavailability"] == 0.0  # nobody asked


def test_unavailability_is_given_by_kind_of_operation() -> None:
    """Reads go on while no write is answered from the crash at 1.0 to 3.1: a chain that has lost its head."""
    reads = [(t / 10, t / 10 + 0.05, "ok") for t in range(50) if t != 13]
    writes = [(0.2, 0.3, "ok"), (0.9, 3.1, "ok"), (3.2, 3.3, "ok"), (3.3, 4.9, "ok")]
    frame = operations(*reads, *writes).assign(
        kind=["get"] * len(reads) + ["put", "cas", "delete", "increment"]
    )
    faults = pd.DataFrame([crash(1.0)])
    found = summary(frame, faults, duration=5.0)
    assert found["unavailability_reads"] == pytest.approx(1.45 - 1.4)
    assert found["unavailability_writes"] == pytest.approx(3.1 - 1.0)
    assert found["unavailability"] == found["unavailability_writes"]
    only = summary(frame[frame["kind"] == "get"], faults, duration=5.0)
    assert math.isnan(only["unavailability_writes"])
    assert only["unavailability"] == only["unavailability_reads"] == found["unavailability_reads"]
    stuck = summary(frame.iloc[:-2], faults, duration=3.0)  # the run ends before the write is answered
    assert (stuck["unavailability_writes"], stuck["unavailability_writes_at_least"]) == (2.0, 1.0)
    assert (stuck["unavailability"], stuck["unavailability_at_least"]) == (2.0, 1.0)
    assert stuck["unavailability_reads_at_least"] == 0.0
    assert unavailability(frame, NO_EVENTS, duration=5.0).keys() == {"", "reads", "writes"}
    assert all(math.isnan(one.value) for one in unavailability(frame, NO_EVENTS, duration=5.0).values())


def test_the_summary_gives_the_longest_outage() -> None:
    frame = operations((0.0, 0.1, "ok"), (0.1, 4.0, "ok"), (4.0, 4.1, "ok"), (4.1, math.nan, "info"))
    found = summary(frame, pd.DataFrame([crash(1.0)]), duration=5.0)
    assert found["unavailability"] == pytest.approx(3.0)
    assert found["unavailability_at_least"] == 0.0
    cut_off = summary(frame, pd.DataFrame([crash(1.0)]), duration=20.0)
    assert cut_off["unavailability"] == pytest.approx(20.0 - 4.1)
    assert cut_off["unavailability_at_least"] == 1.0


def test_messages_per_operation_count_replicas_only_and_nothing_served_is_nan() -> None:
    links = pd.DataFrame({"src_role": ["replica"], "dst_role": ["replica"], "messages": [8]})
    assert per_operation(operations((0.0, 1.0, "ok"), (0.0, 1.0, "ok")), links) == 4.0
    assert math.isnan(per_operation(operations((0.0, 1.0, "fail")), links))
    with pytest.raises(ValueError, match="src_role"):
        per_operation(operations((0.0, 1.0, "ok")), pd.DataFrame({"messages": [1]}))


def test_the_window_holds_its_beginning_and_not_its_end() -> None:
    frame = operations(*[(float(call), call + 1.0, "ok") for call in range(6)])
    assert in_window(frame, 4.0, 2.0)["called"].tolist() == [2.0, 3.0]
    assert (
        summary(frame, NO_EVENTS, duration=4.0, warmup=2.0)["throughput"] == 1.0
    )  # returned at 2 and 3, not at 4


@pytest.mark.parametrize(("warmup", "duration"), [(5.0, 5.0), (-1.0, 5.0), (0.0, math.inf), (0.0, math.nan)])
def test_an_impossible_window_is_refused(warmup: float, duration: float) -> None:
    with pytest.raises(ValueError, match="warmup"):
        in_window(operations((0.0, 1.0, "ok")), duration, warmup)


# ---- timeline


def test_a_timeline_by_hand() -> None:
    frame = operations(
        (0.1, 0.4, "ok"), (0.2, 1.3, "ok"), (1.0, 1.1, "ok"), (1.5, math.nan, "info"), (2.2, 2.3, "ok")
    )
    found = timeline(frame, 1.0, duration=2.5, quantiles=(0.5,))
    assert found["start"].tolist() == [0.0, 1.0, 2.0]
    assert found["end"].tolist() == [1.0, 2.0, 2.5]
    assert found["throughput"].tolist() == [1.0, 2.0, 2.0]  # the last bin is half as long
    assert found["offered"].tolist() == [2.0, 2.0, 2.0]
    assert found["p50"].tolist() == pytest.approx([0.3, 0.1, 0.1])


def test_an_outage_shows_in_the_bin_in_which_its_victim_called() -> None:
    frame = operations((1.5, 7.5, "ok"), (7.5, 7.6, "ok"))
    found = timeline(frame, 1.0, duration=8.0)
    assert found["p99"].notna().tolist() == [False, True] + [False] * 5 + [True]
    assert found["p99"][1] == pytest.approx(6.0)


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 3)), max_size=50),
    st.sampled_from([0.1, 0.3, 1.0, 2.5, 20.0]),
    st.sampled_from([0.0, 0.7, 3.0]),
)
@settings(max_examples=30)
def test_the_bins_of_a_timeline_hold_every_operation_of_the_window_once(
    calls: list[tuple[float, float]], width: float, warmup: float
) -> None:
    frame = operations(*[(call, call + took, "ok") for call, took in calls])
    found = timeline(frame, width, duration=10.0, warmup=warmup)
    sizes = found["end"] - found["start"]
    whole = summary(frame, NO_EVENTS, duration=10.0, warmup=warmup)
    assert (found["offered"] * sizes).sum() == pytest.approx(whole["operations"])
    assert (found["throughput"] * sizes).sum() == pytest.approx(whole["throughput"] * (10.0 - warmup))
    assert found["start"].iloc[0] == warmup
    assert found["end"].iloc[-1] == 10.0
    assert (sizes > 0).all()
    assert np.allclose(found["start"].iloc[1:], found["end"].iloc[:-1])


def test_an_impossible_bin_width_is_refused() -> None:
    with pytest.raises(ValueError, match="0"):
        timeline(operations((0.0, 1.0, "ok")), 0.0, duration=1.0)


# ---- imbalance


def test_imbalance_of_even_and_of_one_sided_loads() -> None:
    assert imbalance([3, 3, 3]).tolist() == [1.0, 0.0, 1.0]
    one_sided = imbalance([4, 0, 0, 0])
    assert one_sided["max_over_mean"] == 4.0
    assert one_sided["cv"] == pytest.approx(math.sqrt(3))
    assert one_sided["jain"] == 0.25
    assert imbalance([0, 0]).isna().all()
    for bad in ([], [1.0, -1.0], [math.nan]):
        with pytest.raises(ValueError, match="loads"):
            imbalance(bad)
