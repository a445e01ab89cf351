"""Measures of failure detection, on events written by hand."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from sim.analysis.detection_measures import (
    detection_summary,
    detections,
    informed,
    messages_per_member_and_period,
    mistakes,
)

MEMBERS = ("a", "b", "c")


def frame(*rows: tuple[float, str, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": [r[0] for r in rows],
            "node": [r[1] for r in rows],
            "event": [r[2] for r in rows],
            "detail": [{} if r[3] is None else {"peer": r[3]} for r in rows],
        }
    )


def pairs(found: pd.DataFrame) -> dict[str, Any]:
    return dict(zip(found["observer"], found["latency"], strict=True))


def test_each_observer_detects_a_crash_when_it_first_suspects() -> None:
    events = frame(
        (5.0, "c", "crash", None),
        (5.5, "a", "suspect", "c"),
        (6.0, "b", "suspect", "c"),
        (6.5, "a", "confirm", "c"),
    )
    assert pairs(detections(events, MEMBERS, duration=10.0)) == {"a": 0.5, "b": 1.0}
    by_confirmation = pairs(detections(events, MEMBERS, duration=10.0, by="confirm"))
    assert by_confirmation["a"] == 1.5
    assert math.isnan(by_confirmation["b"])


def test_a_crash_that_is_over_before_it_is_noticed_is_not_detected() -> None:
    events = frame((5.0, "c", "crash", None), (5.4, "c", "restart", None), (5.5, "a", "suspect", "c"))
    found = detections(events, MEMBERS, duration=10.0)
    assert found["latency"].isna().all()
    assert found["watched"].to_numpy() == pytest.approx(0.4)
    assert list(mistakes(events, duration=10.0)[["observer", "peer"]].itertuples(index=False, name=None)) == [
        ("a", "c")
    ]


def test_an_observer_that_is_down_does_not_count_and_one_that_suspects_already_needs_no_time() -> None:
    events = frame(
        (1.0, "b", "crash", None),
        (2.0, "a", "suspect", "c"),
        (5.0, "c", "crash", None),
        (6.0, "b", "restart", None),
    )
    assert pairs(detections(events, MEMBERS, duration=10.0).query("node == 'c'")) == {"a": 0.0}


def test_an_observer_that_crashes_while_it_watches_has_not_detected() -> None:
    events = frame((5.0, "c", "crash", None), (5.2, "b", "crash", None), (5.5, "a", "suspect", "c"))
    found = detections(events, MEMBERS, duration=10.0).query("node == 'c'").set_index("observer")
    assert math.isnan(found.loc["b", "latency"])
    assert found.loc["b", "watched"] == pytest.approx(0.2)


def test_a_mistake_lasts_until_it_is_taken_back_or_has_become_true() -> None:
    events = frame(
        (1.0, "a", "suspect", "b"),
        (1.5, "a", "confirm", "b"),  # the same mistake
        (3.0, "a", "return", "b"),
        (4.0, "a", "suspect", "c"),
        (4.5, "c", "crash", None),
        (6.0, "b", "suspect", "c"),  # right
        (7.0, "b", "suspect", "a"),
    )
    found = mistakes(events, duration=10.0)
    assert found.to_dict("records") == [
        {"observer": "a", "peer": "b", "start": 1.0, "end": 3.0, "lasted": 2.0, "over": True},
        {"observer": "a", "peer": "c", "start": 4.0, "end": 4.5, "lasted": 0.5, "over": False},
        {"observer": "b", "peer": "a", "start": 7.0, "end": 10.0, "lasted": 3.0, "over": False},
    ]
    summary = detection_summary(events, MEMBERS, duration=10.0)
    assert summary["false_per_hour"] == pytest.approx(3 * 360.0)
    assert summary["mistake_mean"] == pytest.approx(5.5 / 3)
    assert summary["detected"] == 1.0
    assert summary["detection_p50"] == 0.0
    assert summary["detection_max"] == 1.5


def test_a_run_without_events_has_no_mistakes_and_no_detections() -> None:
    summary = detection_summary(frame(), MEMBERS, duration=10.0)
    assert summary["false_per_hour"] == 0.0
    assert math.isnan(summary["detected"])


def test_messages_are_those_between_replicas() -> None:
    links = pd.DataFrame(
        {"src_role": ["replica", "client"], "dst_role": ["replica", "replica"], "messages": [60, 1000]}
    )
    assert messages_per_member_and_period(links, 3, period=0.5, duration=5.0) == 2.0


def test_informed_gives_members_and_times() -> None:
    events = pd.DataFrame(
        {
            "time": [1.0, 2.0, 2.5, 3.0, 4.0],
            "node": ["a", "b", "b", "b", "c"],
            "event": ["learned"] * 5,
            "detail": [{"key": k} for k in ("x", "x", "y", "x", "x")],
        }
    )
    found = informed(events, "x", 4)
    assert found.to_dict("list") == {
        "time": [0.0, 1.0, 3.0],
        "node": ["a", "b", "c"],
        "share": [0.25, 0.5, 0.75],
    }
    with pytest.raises(ValueError, match="nobody learned of a key 'z'"):
        informed(events, "z", 4)


def test_detection_is_by_suspicion_or_by_confirmation() -> None:
    with pytest.raises(ValueError, match="not 'guess'"):
        detections(frame(), MEMBERS, duration=1.0, by="guess")
