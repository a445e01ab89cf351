"""Frames on disk: what is read is what was written, whole or not at all."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis import store
from sim.analysis.store import atomic, read_frame, read_frames, write_frame, write_frames

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
AWKWARD = [
    "",
    "1",
    "null",
    "true",
    '"x"',
    "NA",
    "nan",
    "a,b",
    'say "hi"',
    "two\nlines",
    "[1]",
    "é",
    " x ",
    "{",
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "value",
    [
        *AWKWARD,
        1,
        1.5,
        True,
        None,
        [1, "2", None],
        (1, ("2", None)),
        {"class": "x"},
        b"\0",
        frozenset({1}),
        {"role": "leader", "term": 3},
    ],
)
def test_any_value_comes_back_with_its_type(value: Any, suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"key": pd.Series([value, "other"], dtype=object), "called": [0.1, 0.2]})
    back = read_frame(write_frame(frame, tmp_path / f"operations{suffix}"))
    assert back["key"].tolist() == [value, "other"]
    assert type(back["key"][0]) is type(value)


@given(st.lists(st.tuples(JSON, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=8))
@settings(max_examples=12)
def test_whatever_json_can_say_survives_the_disk(
    tmp_path_factory: Any, rows: list[tuple[Any, float]]
) -> None:
    frame = pd.DataFrame(
        {"value": pd.Series([value for value, _ in rows], dtype=object), "called": [t for _, t in rows]}
    )
    back = read_frame(write_frame(frame, tmp_path_factory.mktemp("frames") / "operations.csv"))
    assert back["value"].tolist() == frame["value"].tolist()
    assert back["called"].tolist() == frame["called"].tolist()  # to the last bit


def test_text_that_looks_like_numbers_or_missing_stays_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"region": ["NA", "1", None], "node": ["1e3", "nan", "true"], "time": [1.0, math.nan, 3.0]}
    )
    back = read_frame(write_frame(frame, tmp_path / "events.csv"))
    assert back["region"].tolist()[:2] == ["NA", "1"]
    assert back["region"].isna().tolist() == [False, False, True]
    assert back["node"].tolist() == ["1e3", "nan", "true"]
    assert back["time"].isna().tolist() == [False, True, False]


def test_details_keep_their_types_and_objects_become_text(tmp_path: Path) -> None:
    class Ballot:
        def __str__(self) -> str:
            return "3.n1"

    detail = [
        {"ballot": Ballot(), ("a", 1): (1, 2)},
        {"quorum": frozenset({"n1", "n0"}), "index": np.int64(4)},
    ]
    frame = pd.DataFrame({"time": [1.0, 2.0], "detail": pd.Series(detail, dtype=object)})
    back = read_frame(write_frame(frame, tmp_path / "events.csv"))
    assert back["detail"].tolist() == [
        {"ballot": "3.n1", ("a", 1): (1, 2)},
        {"quorum": {"n1", "n0"}, "index": 4},
    ]


def test_frames_are_written_as_csv_always_and_as_parquet_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = {"a": pd.DataFrame({"time": [1.0]}), "b": pd.DataFrame({"time": [2.0]})}
    assert [p.name for p in write_frames(frames, tmp_path / "x")] == [
        "a.csv",
        "a.parquet",
        "b.csv",
        "b.parquet",
    ]
    assert [p.name for p in write_frames(frames, tmp_path / "y", parquet=False)] == ["a.csv", "b.csv"]
    assert read_frames(tmp_path / "x")["b"]["time"].tolist() == [2.0]
    monkeypatch.setattr(store, "has_parquet", lambda: False)
    assert [p.name for p in write_frames(frames, tmp_path / "z")] == ["a.csv", "b.csv"]
    with pytest.raises(ValueError, match="pyarrow"):
        write_frame(frames["a"], tmp_path / "a.parquet")


def test_a_write_that_fails_leaves_what_was_there_and_no_litter(tmp_path: Path) -> None:
    path = write_frame(pd.DataFrame({"time": [1.0]}), tmp_path / "samples.csv")

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half of a fr")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert read_frame(path)["time"].tolist() == [1.0]
    assert os.listdir(tmp_path) == ["samples.csv"]


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with atomic(tmp_path / "new" / "chart.png") as temporary:
        temporary.write_bytes(b"png")
        assert temporary.suffix == ".png"
        assert not (tmp_path / "new" / "chart.png").exists()
        assert list(tmp_path.glob("new/[!.]*")) == []
    assert (tmp_path / "new" / "chart.png").read_bytes() == b"png"


def test_other_formats_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.json"):
        write_frame(pd.DataFrame(), tmp_path / "x.json")
    with pytest.raises(ValueError, match=r"x\.json"):
        read_frame(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        read_frames(tmp_path)
