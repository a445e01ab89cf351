"""Acknowledged writes that were lost."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis.losses import acknowledged_lost, acknowledged_unreplicated, lost_writes
from sim.protocols.replication.primary_backup.node import Unreplicated


def history(*rows: tuple[str, Any, float, float, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["kind", "value", "called", "returned", "status"])
    return frame.astype({"value": object}).assign(key="x")


def lost(frame: pd.DataFrame, final: Any) -> list[Any]:
    return acknowledged_lost(frame, {"x": final})["value"].tolist()


def test_lost_writes_are_the_acknowledged_ones_that_no_member_has() -> None:
    assert lost_writes([("c1", 2), ("c0", 1), ("c1", 1), ("c0", 1)], {("c1", 1)}) == [("c1", 2), ("c0", 1)]
    assert lost_writes([], {1}) == []


def test_writes_acknowledged_unreplicated_are_those_that_say_so_in_memory_and_from_files() -> None:
    frame = history(*(("put", i, i, i + 1, "ok") for i in range(4)), ("put", 4, 4, math.nan, "info"))
    assert acknowledged_unreplicated(frame) == 0
    flagged = Unreplicated(1)
    assert acknowledged_unreplicated(frame.assign(result=[flagged, None, repr(flagged), "Un", flagged])) == 2


def test_a_final_value_older_than_an_acknowledged_write_is_a_loss() -> None:
    frame = history(("put", 1, 0, 1, "ok"), ("put", 2, 2, 3, "ok"), ("put", 3, 4, 5, "ok"))
    assert lost(frame, 1) == [2, 3]
    assert lost(frame, 2) == [3]
    assert lost(frame, 3) == []
    assert lost(frame, None) == [1, 2, 3]


def test_concurrent_writes_may_have_come_in_either_order() -> None:
    frame = history(("put", 1, 0, 3, "ok"), ("put", 2, 2, 5, "ok"))
    assert lost(frame, 1) == []
    assert lost(frame, 2) == []


def test_a_write_of_unknown_outcome_may_take_effect_later_and_is_not_missed() -> None:
    frame = history(("put", 1, 0, math.nan, "info"), ("put", 2, 9, 10, "ok"))
    assert lost(frame, 1) == []
    assert lost(frame, None) == [2]
    given_up = history(("put", 1, 0, 1, "info"), ("put", 2, 9, 10, "ok"))
    assert lost(given_up, 1) == []


def test_a_failed_write_and_reads_do_not_matter() -> None:
    frame = history(("put", 1, 0, 1, "fail"), ("get", 5, 2, 3, "ok"))
    assert lost(frame, None) == []


def test_a_cas_writes_its_new_value_and_a_delete_none() -> None:
    frame = history(("put", 1, 0, 1, "ok"), ("cas", [1, 2], 2, 3, "ok"))
    assert lost(frame, 1) == [[1, 2]]
    assert lost(frame, 2) == []
    deleted = history(("put", 1, 0, 1, "ok"), ("delete", None, 2, 3, "ok"))
    assert lost(deleted, None) == []
    assert len(lost(deleted, 1)) == 1


@pytest.mark.parametrize("whole", [["a", "b"], "ab"])
def test_an_appended_element_must_be_in_the_final_value(whole: Any) -> None:
    frame = history(("append", "a", 0, 1, "ok"), ("append", "b", 2, 3, "ok"), ("append", "c", 4, 5, "info"))
    assert lost(frame, whole) == []
    assert lost(frame, whole[:1]) == ["b"]
    assert lost(frame, None) == ["a", "b"]


def test_an_append_that_a_later_write_may_have_wiped_out_is_not_judged() -> None:
    frame = history(("append", "a", 0, 1, "ok"), ("put", ["z"], 0.5, 2, "ok"), ("append", "b", 3, 4, "ok"))
    assert lost(frame, ["z"]) == ["b"]


def test_keys_are_judged_apart_and_counters_not_at_all() -> None:
    frame = pd.concat([history(("put", 1, 0, 1, "ok")), history(("put", 2, 0, 1, "ok")).assign(key="y")])
    found = acknowledged_lost(frame.reset_index(drop=True), {"y": 2})
    assert found["key"].tolist() == ["x"]
    assert lost(history(("increment", 1, 0, 1, "ok"), ("put", 5, 2, 3, "ok")), None) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20), st.integers(0, 10), st.integers(0, 10), st.sampled_from(["ok", "info"])
        ),
        min_size=1,
        max_size=10,
    ),
    st.booleans(),
)
@settings(max_examples=50)
def test_a_store_that_loses_nothing_is_never_accused_and_one_that_forgets_its_last_write_is_caught(
    made: list[tuple[int, int, int, str]], forget: bool
) -> None:
    # Each write takes effect at a point between call and return (one of unknown outcome at any later point).
    rows, effects = [], []
    for value, (call, before, after, status) in enumerate(made):
        end = float(call + before + after)
        rows.append(("put", value, float(call), end if status == "ok" else math.nan, status))
        effects.append((call + before, value))
    final = max(effects)[1]
    assert lost(history(*rows), final) == []
    if forget:
        late = ("put", "late", 100.0, 101.0, "ok")
        final_is_uncertain = made[final][3] == "info"  # it may have come after the late one
        assert lost(history(*rows, late), final) == ([] if final_is_uncertain else ["late"])
