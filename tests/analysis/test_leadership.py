"""Elections and their causes, and the time without a leader, on events written by hand whose truth is known."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from sim.analysis.ability import LeaderGroups
from sim.analysis.leadership import elections, leadership_measures, reigns, time_without_leader

THREE = LeaderGroups(members={"g": ("a", "b", "c")}, majority={"g": 2}, grace=5.0)

Row = tuple[float, str, str, dict[str, Any]]


def frame(*rows: Row) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["time", "node", "event", "detail"])


def leads(time: float, node: str) -> Row:
    return (time, node, "role", {"role": "leader"})


def follows(time: float, node: str) -> Row:
    return (time, node, "role", {"role": "follower"})


def cut(time: float, *links: tuple[str, str], event: str = "cut") -> Row:
    return (time, "", event, {"links": tuple(((src,), (dst,)) for src, dst in links)})


ALONE = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")]


def causes(*rows: Row, led: LeaderGroups = THREE, duration: float = 100.0) -> list[str]:
    return elections(frame(*rows), led, duration=duration)["cause"].tolist()


def test_the_first_leader_is_no_election_and_one_who_goes_on_in_a_new_view_is_none_either() -> None:
    again = (30.0, "a", "role", {"role": "primary", "view": 7})
    assert causes(leads(0.1, "a"), again, (30.0, "a", "elected", {})) == []


@pytest.mark.parametrize(
    ("cause", "before"),
    [
        ("crash", [(20.0, "a", "crash", {})]),
        ("crash", [(20.0, "a", "crash", {}), (20.0, "a", "restart", {})]),
        ("pause", [(20.0, "a", "pause", {})]),
        ("pause", [(18.0, "a", "pause", {}), (19.0, "a", "resume", {})]),
        ("cut", [cut(20.0, *ALONE)]),
        ("cut", [cut(20.0, ("a", "b"), ("a", "c"))]),  # one way is enough
        ("cut", [(19.0, "b", "crash", {}), (20.0, "c", "crash", {}), (20.5, "b", "restart", {})]),
        ("cut", [(20.0, "", "cut", {"label": "links that were not recorded"})]),
        ("request", [(21.0, "admin", "admin", {"request": "Transfer(to='b')", "done": True})]),
    ],
)
def test_an_election_has_the_cause_that_kept_the_leader_from_leading(cause: str, before: list[Row]) -> None:
    assert causes(leads(0.0, "a"), *before, leads(21.0, "b")) == [cause]


@pytest.mark.parametrize(
    "before",
    [
        [],
        [(20.0, "b", "crash", {}), (20.5, "b", "restart", {})],  # another member
        [(20.0, "b", "pause", {})],
        [cut(20.0, ("a", "b"), ("b", "a"))],  # it still reaches c: a majority
        [(20.0, "a", "flaky", {"slowdown": 100.0})],  # slow links are no excuse
        [(20.0, "a", "slow", {"speed": 0.01})],
        [(10.0, "a", "pause", {}), (15.9, "a", "resume", {})],  # longer ago than the grace
        [cut(10.0, *ALONE), cut(15.0, *ALONE, event="heal")],
        [(21.0, "admin", "admin", {"request": "Join(member='d')", "done": True})],
        [(10.0, "admin", "admin", {"request": "Transfer(to='b')", "done": True})],
    ],
)
def test_an_election_is_false_while_the_leader_was_up_running_and_in_touch_with_a_majority(
    before: list[Row],
) -> None:
    assert causes(leads(0.0, "a"), *before, leads(21.0, "b")) == ["false"]


def test_the_next_leader_ends_the_time_of_one_that_records_elected_only() -> None:
    rows = [(time, node, "elected", {}) for time, node in ((0.0, "a"), (20.0, "b"), (30.0, "a"))]
    each = reigns(frame(*rows), THREE, duration=100.0)
    assert [(reign.node, reign.start, reign.end) for reign in each] == [
        ("a", 0.0, 20.0),
        ("b", 20.0, 30.0),
        ("a", 30.0, 100.0),
    ]


def test_what_follows_a_crash_within_the_grace_is_not_false_and_what_follows_later_is() -> None:
    rows = [leads(0.0, "a"), (20.0, "a", "crash", {}), leads(21.0, "b"), leads(22.0, "c")]
    assert causes(*rows, follows(22.0, "b"), leads(40.0, "b")) == ["crash", "crash", "false"]


def test_turmoil_at_the_start_is_not_false() -> None:
    assert causes(leads(0.6, "a"), leads(0.7, "b"), leads(9.0, "c")) == ["start", "false"]


def test_overlapping_cuts_add_up_as_in_the_network() -> None:
    rows = [leads(0.0, "a"), cut(10.0, *ALONE), cut(11.0, *ALONE), cut(12.0, *ALONE, event="heal")]
    assert causes(*rows, leads(30.0, "b")) == ["cut"]
    assert causes(*rows, cut(13.0, *ALONE, event="heal"), leads(30.0, "b")) == ["false"]


def test_a_leader_whom_its_view_service_does_not_reach_is_cut_off() -> None:
    led = LeaderGroups(members={"g": ("a", "b")}, majority={"g": 2}, grace=5.0, services=("vs",))
    assert causes(leads(0.0, "a"), cut(20.0, ("vs", "a")), leads(21.0, "b"), led=led) == ["cut"]
    assert causes(leads(0.0, "a"), (20.0, "vs", "crash", {}), leads(21.0, "b"), led=led) == ["cut"]
    assert causes(leads(0.0, "a"), leads(21.0, "b"), led=led) == ["false"]


def test_a_spare_counts_from_its_first_event_on() -> None:
    led = LeaderGroups(members={"g": ("a", "b", "c")}, majority={"g": 2}, grace=5.0, spares=("c",))
    off = [leads(0.0, "a"), (20.0, "b", "crash", {})]
    assert causes(
        *off, leads(21.0, "a"), (21.5, "a", "role", {"role": "candidate"}), leads(22.0, "a"), led=led
    ) == ["cut"]
    on = [follows(5.0, "c"), *off, (21.5, "a", "role", {"role": "candidate"}), leads(22.0, "a")]
    assert causes(*on, led=led) == ["false"]


def test_groups_have_elections_of_their_own() -> None:
    two = LeaderGroups(
        members={"g": ("a", "b", "c"), "h": ("x", "y", "z")}, majority={"g": 2, "h": 2}, grace=5.0
    )
    rows = [leads(0.0, "a"), leads(0.0, "x"), (20.0, "x", "crash", {}), leads(21.0, "b"), leads(22.0, "y")]
    found = elections(frame(*rows), two, duration=100.0)
    assert found[["group", "cause"]].to_numpy().tolist() == [["g", "false"], ["h", "crash"]]
    assert time_without_leader(frame(*rows), two, duration=100.0) == pytest.approx(2.0)


def test_time_without_leader_counts_a_crash_a_pause_a_cut_and_a_resignation() -> None:
    rows = [
        leads(1.0, "a"),
        *[(10.0, "a", "pause", {}), (12.0, "a", "resume", {})],
        *[cut(20.0, *ALONE), cut(23.0, *ALONE, event="heal")],
        *[follows(30.0, "a"), leads(34.0, "b")],
        *[(40.0, "b", "crash", {}), (41.0, "b", "restart", {}), leads(45.0, "c")],
    ]
    assert time_without_leader(frame(*rows), THREE, duration=100.0) == pytest.approx(2 + 3 + 4 + 5)
    assert time_without_leader(frame(*rows), THREE, duration=100.0, warmup=32.0) == pytest.approx(2 + 5)


def test_a_group_that_never_has_a_leader_is_without_one_all_the_time() -> None:
    rows = frame(follows(0.0, "a"), (1.0, "a", "role", {"role": "candidate"}))
    found = leadership_measures(rows, THREE, duration=8.0, warmup=2.0)
    assert found == {"elections": 0.0, "false_elections": 0.0, "time_without_leader": 6.0}


def test_false_elections_are_counted_a_day_of_the_window() -> None:
    rows = frame(leads(0.0, "a"), leads(40.0, "b"), follows(40.0, "a"), leads(60.0, "c"), leads(80.0, "a"))
    found = leadership_measures(rows, THREE, duration=100.0, warmup=50.0)
    assert (found["elections"], found["false_elections"]) == (2.0, 2 * 86_400 / 50.0)


def test_the_measures_are_absent_and_not_zero_without_a_leader() -> None:
    rows = frame((20.0, "a", "crash", {}))
    for led in (None, THREE):
        assert all(math.isnan(value) for value in leadership_measures(rows, led, duration=100.0).values())
