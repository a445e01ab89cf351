"""When each fault lasted, and how long nobody was served after it."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis.outages import fault_spans, outages


def operations(*rows: tuple[float, float, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["called", "returned", "status"])
    return frame.astype({"called": float, "returned": float})


def events(*rows: tuple[Any, ...]) -> pd.DataFrame:
    full = [(*row, None)[:4] if len(row) == 3 else row for row in rows]
    return pd.DataFrame(full, columns=["time", "node", "event", "detail"])


CRASH = events((10.0, "n0", "crash"), (12.0, "n0", "restart"))


def busy(*returns: float) -> pd.DataFrame:
    """One client that always waits: its operations return at these times."""
    calls = [0.0, *returns[:-1]]
    return operations(*[(call, end, "ok") for call, end in zip(calls, returns, strict=True)])


def gap(frame: pd.DataFrame, faults: pd.DataFrame, **options: float) -> float:
    return float(outages(frame, faults, **({"duration": 20.0} | options))["gap"].max())


def test_the_gap_in_which_a_fault_strikes_counts_from_the_fault() -> None:
    found = outages(busy(9.0, 15.0, 19.99), CRASH, duration=20.0)
    assert found[["start", "end", "gap"]].to_numpy().tolist() == [[10.0, 15.0, 5.0]]
    assert found["fault"].tolist() == ["crash n0"]


def test_a_reply_in_flight_when_the_fault_strikes_does_not_hide_the_outage() -> None:
    assert gap(busy(9.0, 10.01, 15.0, 19.99), CRASH) == pytest.approx(4.99)


def test_gaps_before_the_fault_do_not_count() -> None:
    assert gap(busy(8.0, 10.5, 11.0, 11.5, 12.0, 13.0, 14.0, 15.0, 16, 17, 18, 19, 19.9), CRASH) == 1.0


def test_time_in_which_no_client_waits_is_no_outage() -> None:
    frame = operations((9.0, 9.5, "ok"), (14.0, 14.25, "ok"), (19.0, 19.5, "ok"))
    assert gap(frame, CRASH) == 0.5


def test_a_finished_load_leaves_no_outage_behind() -> None:
    found = outages(operations((9.0, 9.5, "ok")), CRASH, duration=20.0)
    assert (found["gap"][0], bool(found["at_least"][0])) == (0.0, False)


def test_an_outage_that_never_ends_is_a_lower_bound() -> None:
    found = outages(operations((9.0, 9.5, "ok"), (9.5, math.nan, "info")), CRASH, duration=20.0)
    assert (found["gap"][0], bool(found["at_least"][0])) == (10.0, True)


def test_a_load_that_ends_in_a_refusal_leaves_no_outage_behind() -> None:
    frame = operations((9.0, 9.5, "ok"), (11.0, 11.25, "fail"))
    found = outages(frame, CRASH, duration=20.0)
    assert (found["gap"][0], bool(found["at_least"][0])) == (0.25, False)


def test_refusals_do_not_end_an_outage() -> None:
    refused = [(10.0 + i, 10.1 + i, "fail") for i in range(5)]
    assert gap(operations((9.0, 9.5, "ok"), *refused, (15.0, 15.5, "ok")), CRASH) == pytest.approx(5.5)


def test_a_second_fault_does_not_split_an_outage() -> None:
    faults = events((10.0, "n0", "crash"), (11.0, "n1", "crash"))
    found = outages(busy(9.0, 15.0, 15.5, 19.9), faults, duration=20.0)
    assert found["time"].tolist() == [10.0, 11.0]
    assert found["gap"].tolist() == pytest.approx([5.0, 4.4])


def test_faults_of_one_instant_are_one_row() -> None:
    cuts = [(10.0, None, "cut", {"src": f"n{i}", "dst": "n9"}) for i in range(5)]
    found = outages(busy(9.0, 15.0), events(*cuts), duration=20.0)
    assert found["fault"].tolist() == ["cut n0→n9 and 4 more"]


def test_a_fault_during_the_warm_up_counts_from_its_end_and_one_after_the_run_not_at_all() -> None:
    found = outages(
        busy(9.0, 15.0, 19.0), events((2.0, "n0", "crash"), (25.0, "n0", "crash")), duration=19.5, warmup=12.0
    )
    assert found[["time", "gap"]].to_numpy().tolist() == [[12.0, 4.0]]


def test_without_faults_nothing_is_measured() -> None:
    found = outages(busy(9.0, 15.0), events((1.0, "n0", "elected")), duration=20.0)
    assert len(found) == 0
    assert list(found.columns) == ["time", "fault", "start", "end", "gap", "at_least"]


HALVES = st.integers(0, 40).map(lambda n: n / 2)


@given(
    st.lists(
        st.tuples(HALVES, HALVES.filter(bool), st.sampled_from(["ok", "fail", "info", "never"])), max_size=12
    ),
    st.lists(HALVES, min_size=1, max_size=3),
)
@settings(max_examples=40)
def test_it_is_the_longest_wait_for_an_ok_of_any_client_after_the_first_fault(
    rows: list[tuple[float, float, str]], faults: list[float]
) -> None:
    duration = 20.5
    made = [
        (call, math.nan if status == "never" else call + took, "info" if status == "never" else status)
        for call, took, status in rows
    ]
    found = outages(operations(*made), events(*[(t, "n0", "crash") for t in faults]), duration=duration)
    returns = sorted(end for _, end, status in made if status == "ok" and end < duration)
    last_wait = max((min(duration if end != end else end, duration) for _, end, _ in made), default=0.0)
    longest = 0.0
    for instant in (n / 2 for n in range(int(2 * duration))):
        waiting = any(call <= instant and not end <= instant for call, end, _ in made)
        if instant >= min(faults) and waiting:
            longest = max(longest, next((r for r in returns if r > instant), last_wait) - instant)
    assert found["gap"].max() == longest


# ---- when each fault lasted


def test_a_crash_lasts_until_its_own_restart() -> None:
    found = fault_spans(
        events((1.0, "n0", "crash"), (2.0, "n1", "crash"), (3.0, "n1", "restart"), (4.0, "n0", "restart")),
        duration=9.0,
    )
    assert found.to_numpy().tolist() == [[1.0, 4.0, "crash", "crash n0"], [2.0, 3.0, "crash", "crash n1"]]


def test_what_is_never_mended_lasts_until_the_end() -> None:
    found = fault_spans(events((1.0, "n0", "crash"), (0.5, "n0", "restart")), duration=9.0)
    assert found[["start", "end"]].to_numpy().tolist() == [[1.0, 9.0]]


def test_a_heal_mends_what_it_names_and_a_bare_one_everything() -> None:
    one, other = {"src": "a", "dst": "b"}, {"src": "b", "dst": "a"}
    named = events(
        (1.0, None, "cut", one),
        (1.0, None, "cut", other),
        (2.0, None, "heal", other),
        (5.0, None, "heal", {}),
    )
    found = fault_spans(named, duration=9.0)
    assert found[["start", "end", "label"]].to_numpy().tolist() == [
        [1.0, 5.0, "cut a→b"],
        [1.0, 2.0, "cut b→a"],
    ]


def test_cuts_are_healed_by_their_labels() -> None:
    rows = [
        (1.0, "cut", "region a"),
        (2.0, "cut", "region b"),
        (3.0, "heal", "region b"),
        (4.0, "heal", "region a"),
    ]
    named = events(*[(t, "", what, {"pairs": 4, "label": f"cut {label}"}) for t, what, label in rows])
    found = fault_spans(named, duration=9.0)
    assert found[["start", "end", "label"]].to_numpy().tolist() == [
        [1.0, 4.0, "cut region a"],
        [2.0, 3.0, "cut region b"],
    ]


def test_a_slow_node_is_a_fault_until_it_is_steady() -> None:
    found = fault_spans(
        events((1.0, "n0", "slow", {"speed": 0.1}), (2.0, "n1", "steady", {}), (3.0, "n0", "steady", {})),
        duration=9.0,
    )
    assert found.to_numpy().tolist() == [[1.0, 3.0, "slow", "slow n0"]]


def test_cuts_that_come_and_go_together_are_one_span() -> None:
    cuts = [(1.0, None, "cut", {"src": f"n{i}", "dst": "n9"}) for i in range(4)]
    found = fault_spans(events(*cuts, (3.0, None, "heal", {})), duration=9.0)
    assert found.to_numpy().tolist() == [[1.0, 3.0, "cut", "cut n0→n9 and 3 more"]]


def test_an_events_frame_without_times_is_refused() -> None:
    with pytest.raises(ValueError, match="'time'"):
        fault_spans(pd.DataFrame({"event": ["crash"]}), duration=1.0)
