"""Integers stay exact: two times, or two values, that differ are never merged by floating point numbers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.patches import Rectangle

from sim.analysis.checks import (
    CONSISTENCY,
    check,
    history_chart,
    history_text,
    linearizable,
    staleness,
    synthetic,
)
from sim.analysis.history import HistoryError, read_history, write_history
from sim.cli import cli

EPOCH = 1_700_000_000_000_000_000
DATA = Path(__file__).parents[2] / "data" / "nanoseconds.jsonl"


def stale(start: int = 0, dtype: Any = "int64") -> pd.DataFrame:
    """A write that returned 10 ns before a read was called that did not see it."""
    frame = pd.DataFrame(
        {"process": [0, 1, 1], "kind": ["write", "read", "read"], "key": ["x"] * 3, "status": ["ok"] * 3}
    )
    frame["value"] = pd.Series([1, None, 1], dtype=object)
    for name, times in (("called", [1, 60, 80]), ("returned", [50, 70, 90])):
        frame[name] = pd.Series([start + time for time in times], dtype=dtype)
    return frame


def dates(frame: pd.DataFrame, zone: str | None = None) -> pd.DataFrame:
    return frame.assign(
        **{
            name: pd.to_datetime(frame[name].astype("int64"), utc=zone is not None)
            for name in ("called", "returned")
        }
    )


FORMS = {
    "int64": lambda: stale(EPOCH),
    "uint64": lambda: stale(EPOCH, "uint64"),
    "Int64": lambda: stale(EPOCH, "Int64"),
    "object": lambda: stale(EPOCH, object),
    "beyond 64 bits": lambda: stale(10**30, object),
    "negative": lambda: stale(-EPOCH),
    "dates": lambda: dates(stale(EPOCH)),
    "dates with a zone": lambda: dates(stale(EPOCH), "UTC"),
    "objects of dates": lambda: dates(stale(EPOCH)).astype({"called": object, "returned": object}),
    "lengths of time": lambda: stale(EPOCH).assign(
        **{name: pd.to_timedelta(stale(EPOCH)[name]) for name in ("called", "returned")}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_stale_read_ten_nanoseconds_late_is_found_whatever_holds_the_times(form: str) -> None:
    frame = FORMS[form]()
    for name in CONSISTENCY:
        assert check(frame, name).valid == check(stale(), name).valid, name
    verdict = check(frame)
    assert verdict.valid is False
    assert check(verdict.frame()).valid is False  # the counterexample holds exact times, too
    assert staleness(frame)["k"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("form", FORMS)
def test_the_search_and_its_counterexample_are_exact_too(form: str) -> None:
    frame = FORMS[form]()
    twice = pd.concat(
        [frame, frame.iloc[:1].assign(process=2)], ignore_index=True
    )  # a repeated value: no zones
    verdict = check(twice)
    assert verdict.valid is False
    assert check(verdict.frame()).valid is False


@pytest.mark.parametrize("form", FORMS)
def test_bars_of_a_chart_are_as_far_apart_as_the_operations(form: str) -> None:
    frame = FORMS[form]()
    ax = history_chart(frame, check(frame))
    left = np.sort([p.get_x() for p in ax.patches if isinstance(p, Rectangle) and 0.6 < p.get_height() < 0.7])
    assert np.diff(left) / np.diff(left)[0] == pytest.approx([1.0, 20 / 59])
    plt.close("all")
    drawn = [line[:40] for line in history_text(frame, check(frame)).splitlines()[1:-1]]
    assert [line.index("├") for line in drawn] == sorted({line.index("├") for line in drawn})


def test_unknown_outcomes_have_no_return_and_integers_stay_exact() -> None:
    frame = stale(EPOCH, object)
    frame.loc[3] = [2, "write", "x", "info", 2, EPOCH + 55, None]
    frame = frame[["process", "kind", "key", "status", "value", "called", "returned"]]
    assert check(frame).valid is False
    assert check(frame.astype({"returned": "Int64"})).valid is False


def test_floats_that_may_have_merged_integers_are_refused_with_the_row() -> None:
    frame = stale(EPOCH)
    with pytest.raises(ValueError, match=r"row 0: called is 1\.7e\+18, a floating point number too large"):
        check(frame.astype({"called": float}))
    with pytest.raises(ValueError, match="row 0: returned is"):
        check(frame.astype({"returned": float}))
    for column in ("process", "key", "value", "result"):
        merged = stale().assign(**{column: [1.0, 2.0**53 + 2, np.nan]})
        with pytest.raises(
            ValueError, match=f"row 1: {column} is 9007199254740994.0, a floating point number"
        ):
            check(merged)
    assert check(stale().assign(value=[1.0, np.nan, 1.0])).valid is False


def test_times_that_cannot_be_compared_are_refused() -> None:
    mixed = stale(EPOCH, object)
    mixed.loc[1, "called"] = 0.5
    with pytest.raises(ValueError, match=r"row 1: called is 0\.5, where other times are integers above"):
        check(mixed)
    mixed.loc[1, "called"] = pd.Timestamp(0)
    with pytest.raises(ValueError, match="where other times are dates"):
        check(mixed)
    far = stale(EPOCH)
    far.loc[0, "called"] = 0
    with pytest.raises(ValueError, match="too far from the first time, 0, to be exact"):
        check(far)


def test_large_values_are_distinguished() -> None:
    frame = stale()
    frame["value"] = pd.Series([2**53 + 1, 2**53, 2**53 + 1], dtype=object)
    verdict = check(frame)
    assert verdict.valid is False
    assert "9007199254740992" in verdict.reason


def test_a_file_of_nanoseconds_is_read_exactly_and_written_again(tmp_path: Path) -> None:
    frame = read_history(DATA)
    assert frame["called"].tolist() == [EPOCH + 1, EPOCH + 60]
    assert linearizable(frame).valid is False
    write_history(frame, tmp_path / "again.jsonl")
    assert read_history(tmp_path / "again.jsonl").equals(frame)
    for more in ([], ["--text"], ["--plot", str(tmp_path / "chart.png")]):
        result = CliRunner().invoke(cli, ["check", str(DATA), *more])
        assert result.exit_code == 1, result.output


def test_files_keep_large_processes_keys_and_values_beside_missing_ones() -> None:
    large = 2**53 + 1
    lines = [
        f'{{"process": {large}, "kind": "write", "key": {large}, "value": {large}, "call": 1, "return": 2}}',
        '{"kind": "read", "call": 3, "return": 4}',
    ]
    frame = read_history(io.StringIO("\n".join(lines)))
    assert [frame[name].iloc[0] for name in ("process", "key", "value")] == [2**53 + 1] * 3


def test_decimals_that_floats_would_merge_are_refused_with_the_line() -> None:
    line = '{"kind": "read", "key": "x", "call": 1700000000.000000001, "return": 1700000001, "status": "ok"}'
    with pytest.raises(HistoryError, match=r"line 1: call is 1700000000\.000000001, which floating point"):
        read_history(io.StringIO(line))
    kept = line.replace(".000000001", ".125")
    assert read_history(io.StringIO(kept))["called"].tolist() == [1700000000.125]


def test_nanoseconds_and_seconds_get_one_verdict() -> None:
    """The same history told in seconds and in nanoseconds since 1970."""
    for seed in range(20):
        frame = synthetic(60, clients=4, keys=2, seed=seed)
        frame[["called", "returned"]] = (frame[["called", "returned"]] * 1e6).round() / 1e6
        if seed % 2:  # a mutant: a read sees an older value
            rows = frame.index[(frame["kind"] == "read") & (frame["status"] == "ok")]
            frame.at[rows[-1], "value"] = frame.at[rows[0], "value"]
        exact = frame.assign(
            **{
                name: pd.Series(
                    [None if pd.isna(t) else EPOCH + round(t * 1e6) for t in frame[name]], dtype=object
                )
                for name in ("called", "returned")
            }
        )
        assert check(exact).valid == check(frame).valid, seed
