"""Histories as charts and as text."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from sim.analysis.checks import check, history_chart, history_text, synthetic


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def stale() -> pd.DataFrame:
    rows = [
        (0, "write", "x", 1, 0.0, 1.0, "ok"),
        (0, "write", "x", 2, 2.0, 3.0, "ok"),
        (1, "read", "x", 2, 4.0, 5.0, "ok"),
        (2, "read", "x", 1, 6.0, 7.0, "ok"),
        (3, "write", "x", 9, 1.0, float("nan"), "info"),
        (4, "write", "x", 8, 1.0, 2.0, "fail"),
    ]
    return pd.DataFrame(rows, columns=["process", "kind", "key", "value", "called", "returned", "status"])


def bars(axes: plt.Axes) -> list[Rectangle]:
    return [bar for container in axes.containers for bar in container]


def test_operations_are_bars_from_call_to_return_in_a_row_per_process() -> None:
    axes = history_chart(stale())
    drawn = {
        (round(b.get_y() + b.get_height() / 2), b.get_x(), b.get_x() + b.get_width()) for b in bars(axes)
    }
    assert {(0, 0.0, 1.0), (0, 2.0, 3.0), (1, 4.0, 5.0), (2, 6.0, 7.0), (4, 1.0, 2.0)} <= drawn
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"process {i}" for i in range(5)]
    assert axes.get_xlabel() == "time (s)"
    unknown = next(end for lane, _, end in drawn if lane == 3)
    assert unknown > 7.0


def test_the_operations_that_contradict_each_other_are_framed_and_their_window_is_shaded() -> None:
    verdict = check(stale())
    axes = history_chart(stale(), verdict)
    framed = [bar for bar in bars(axes) if bar.get_linewidth() > 2]
    assert len(framed) == len(verdict.counterexample)
    windows = [p for p in axes.patches if isinstance(p, Rectangle) and p not in bars(axes)]
    start, end = (
        min(op.called for op in verdict.counterexample),
        max(op.returned for op in verdict.counterexample),
    )
    assert any(p.get_x() == start and p.get_x() + p.get_width() == end for p in windows)
    assert "invalid" in axes.get_title(loc="left")


def test_a_witness_is_numbered() -> None:
    frame = stale().drop(index=3)
    verdict = check(frame, witness=True)
    axes = history_chart(frame, verdict)
    numbers = [a.get_text() for a in axes.texts if isinstance(a, Annotation) and a.get_text().isdigit()]
    assert numbers == ["1", "2", "3"]
    assert "an order that explains it" in axes.get_title(loc="left")


def test_a_long_history_is_cut_to_the_window_of_the_violation() -> None:
    frame = synthetic(2000, clients=6, stale=0.02, seed=3)
    verdict = check(frame)
    axes = history_chart(frame, verdict, most=50)
    assert len(bars(axes)) <= 50
    assert "of 2000 operations" in axes.get_title(loc="left")
    left, right = axes.get_xlim()
    assert left <= min(op.called for op in verdict.counterexample)
    assert right >= max(op.returned for op in verdict.counterexample)


def test_short_times_are_in_milliseconds_and_an_axes_is_taken() -> None:
    frame = stale()
    frame[["called", "returned"]] *= 0.01
    figure, axes = plt.subplots()
    assert history_chart(frame, ax=axes) is axes
    assert axes.get_xlabel() == "time (ms)"
    figure.draw_without_rendering()


def test_the_text_shows_bars_order_and_contradictions() -> None:
    text = history_text(stale(), check(stale()), width=15)
    assert text.splitlines()[1:] == [
        "├─┤                ✗ process 0: write x 1",
        "  ├───────────→      process 3: write x 9 (outcome unknown)",
        "  ├─┤                process 4: write x 8 (failed)",
        "    ├─┤            ✗ process 0: write x 2",
        "        ├─┤        ✗ process 1: read x → 2",
        "            ├─┤    ✗ process 2: read x → 1",
        "from 0 s to 7 s",
    ]
    ordered = history_text(stale().drop(index=3), check(stale().drop(index=3), witness=True))
    assert "   1 process 0: write x 1" in ordered


def test_empty_histories_have_a_chart_and_a_text() -> None:
    empty = stale().iloc[:0]
    assert bars(history_chart(empty, check(empty))) == []
    assert "no operations" in history_text(empty, check(empty))


def test_without_times_there_is_nothing_to_draw() -> None:
    frame = stale().drop(columns=["called", "returned"])
    for draw in (history_chart, history_text):
        with pytest.raises(ValueError, match="'called' and 'returned'"):
            draw(frame)
